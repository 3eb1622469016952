#!/bin/bash
# Installs schemathesis, which asks an API what its OpenAPI document allows and more, once per machine, and prints its path.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# A changed list of requirements is another environment.
name=schemathesis-$(sha256sum "$here/requirements.txt" | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight
home=$cache/$name
mkdir -p "$cache"
exec 9>"$cache/.schemathesis.lock"
flock 9
if [[ ! -e $home/complete ]]; then
    echo "installing schemathesis for the tests, once" >&2
    rm -rf "$home"
    python3 -m venv "$home" >&2
    "$home/bin/pip" install --quiet --requirement "$here/requirements.txt" >&2
    touch "$home/complete"
fi
echo "$home/bin/schemathesis"
