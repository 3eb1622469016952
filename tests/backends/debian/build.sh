#!/bin/bash
# Makes a small Debian with systemd, once per machine, and prints the path of its tar archive. The archive is this machine's own
# source of packages, or AGENTSIGHT_DEBIAN_MIRROR.
set -euo pipefail

suite=bookworm
home=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight/debian-$suite-systemd
mkdir -p "$home"
exec 9>"$home/.lock"
flock 9
if [[ -s $home/root.tar ]]; then
    echo "$home/root.tar"
    exit 0
fi

mirror=${AGENTSIGHT_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | sed -n 's|\(/debian\)/\?$|\1|p' | sort -u | head -n1)}
echo "making a small Debian for the tests, once (about a minute)" >&2
work=$(mktemp -d "$home/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
PATH=$PATH:/usr/sbin debootstrap --variant=minbase --include=systemd-sysv "$suite" "$work/root" ${mirror:+"$mirror"} >&2
tar --create --directory "$work/root" --file "$work/root.tar" .
mv "$work/root.tar" "$home/root.tar"
echo "$home/root.tar"
