#!/bin/bash
# Installs the OpenTelemetry SDK for Python that plays the agent's own instrumentation, once per machine, and prints its python3.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# A changed list of requirements is another environment.
name=python-sdk-$(sha256sum "$here/requirements.txt" | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight
home=$cache/$name
mkdir -p "$cache"
exec 9>"$cache/.python-sdk.lock"
flock 9
if [[ ! -e $home/complete ]]; then
    echo "installing the OpenTelemetry SDK for Python for the tests, once" >&2
    rm -rf "$home"
    python3 -m venv "$home" >&2
    "$home/bin/pip" install --quiet --requirement "$here/requirements.txt" >&2
    touch "$home/complete"
fi
echo "$home/bin/python3"
