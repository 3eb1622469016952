#!/bin/bash
# Installs what a folder's requirements.txt pins, once per machine, and prints the path of one of its programs:
# python-environment.sh FOLDER PROGRAM WHAT
set -euo pipefail

requirements=$1/requirements.txt
# A changed list of requirements is another environment.
name=$(basename "$1")-$(sha256sum "$requirements" | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight
home=$cache/$name
mkdir -p "$cache"
exec 9>"$cache/.$(basename "$1").lock"
flock 9
if [[ ! -e $home/complete ]]; then
    echo "installing $3 for the tests, once" >&2
    rm -rf "$home"
    python3 -m venv "$home" >&2
    "$home/bin/pip" install --quiet --requirement "$requirements" >&2
    touch "$home/complete"
fi
echo "$home/bin/$2"
