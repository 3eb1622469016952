#!/bin/bash
# Installs what is missing on a Debian-like machine; says nothing when nothing is.
# Input, one need a line: how to see that it is there | Debian package | what it is for
set -euo pipefail

packages=()
while IFS='|' read -r probe package purpose || [[ -n $probe ]]; do
    [[ -n $probe ]] || continue
    if ! bash -c "$probe" >/dev/null 2>&1 </dev/null; then
        packages+=("$package")
        echo "missing: $package ($purpose)"
    fi
done
((${#packages[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
    echo "This is no Debian: please install the above with your own package manager, then run this again." >&2
    exit 1
fi
as_root=()
if [[ $(id -u) != 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "As root, please run: apt-get install ${packages[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
apt_get() {
    # env, because sudo clears the environment.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null
}
echo "installing by apt: ${packages[*]}"
# The lists of a fresh machine are empty or old; update only where they do not do.
apt_get install --yes --no-install-recommends "${packages[@]}" >/dev/null 2>&1 || {
    apt_get update
    apt_get install --yes --no-install-recommends "${packages[@]}" >/dev/null
}
