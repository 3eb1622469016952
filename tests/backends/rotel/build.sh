#!/bin/bash
# Installs Rotel, a collector written in Rust by others, once per machine, and prints the path of its program.
set -euo pipefail

version=0.0.1a15
home=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight/rotel-$version
mkdir -p "$home"
exec 9>"$home/.lock"
flock 9
if [[ ! -e $home/complete ]]; then
    echo "installing Rotel $version for the tests, once" >&2
    python3 -m venv --clear "$home/venv" >&2
    "$home/venv/bin/pip" install --quiet "rotel==$version" >&2
    touch "$home/complete"
fi
program=$(echo "$home"/venv/lib/python3*/site-packages/rotel/rotel-agent)
chmod +x "$program"
echo "$program"
