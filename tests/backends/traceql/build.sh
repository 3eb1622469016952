#!/bin/bash
# Installs Grafana's grammar of TraceQL from npm, once per machine, and prints the path of the script that checks by it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# A changed script or list of requirements is another folder.
name=traceql-$(cat "$here/package-lock.json" "$here/check.cjs" | sha256sum | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight
home=$cache/$name
mkdir -p "$cache"
exec 9>"$cache/.traceql.lock"
flock 9
if [[ ! -e $home/complete ]]; then
    echo "installing Grafana's grammar of TraceQL for the tests, once" >&2
    rm -rf "$home"
    mkdir "$home"
    cp "$here"/package*.json "$here/check.cjs" "$home/"
    (cd "$home" && npm ci --no-audit --no-fund --ignore-scripts --silent) >&2
    touch "$home/complete"
fi
echo "$home/check.cjs"
