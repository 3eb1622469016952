#!/bin/bash
# Installs kubernetes-validate, which has Kubernetes' published schemas in it, once per machine, and prints its path.
set -euo pipefail

version=1.37.0
home=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight/kubernetes-validate-$version
mkdir -p "$home"
exec 9>"$home/.lock"
flock 9
if [[ ! -e $home/complete ]]; then
    echo "installing kubernetes-validate $version for the tests, once" >&2
    python3 -m venv --clear "$home/venv" >&2
    "$home/venv/bin/pip" install --quiet "kubernetes-validate==$version" >&2
    touch "$home/complete"
fi
echo "$home/venv/bin/kubernetes-validate"
