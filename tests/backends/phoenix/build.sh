#!/bin/bash
# Installs Phoenix, a backend that others wrote for agents, once per machine, and prints its path.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# A changed list of requirements is another environment.
name=phoenix-$(sha256sum "$here/requirements.txt" | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight
home=$cache/$name
mkdir -p "$cache"
exec 9>"$cache/.phoenix.lock"
flock 9
if [[ ! -e $home/complete ]]; then
    echo "installing Phoenix for the tests, once (about 3 minutes)" >&2
    rm -rf "$home"
    python3 -m venv "$home" >&2
    "$home/bin/pip" install --quiet --requirement "$here/requirements.txt" >&2
    touch "$home/complete"
fi
echo "$home/bin/phoenix"
