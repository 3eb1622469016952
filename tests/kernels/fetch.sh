#!/bin/bash
# Prints the directory of a Debian kernel (vmlinuz, version), having fetched it once: fetch.sh SUITE SERIES
# SERIES is such as 5.10, or `newest` of what the suite has; remove the directory to look for a newer one. The archive is this machine's own, or AGENTSIGHT_DEBIAN_MIRROR.
# apt works in a directory of ours: /etc/apt and the system's lists are only read, never changed.
set -euo pipefail
suite=$1 series=$2

home=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight/kernels/$series
mkdir -p "$home"
exec 9>"$home/.lock"
flock 9
if [[ -s $home/vmlinuz ]]; then
    echo "$home"
    exit 0
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    echo "Kernels come from Debian's archive by apt-get and dpkg, which this machine lacks; put one there yourself: $home/vmlinuz" >&2
    exit 1
fi
archive=${AGENTSIGHT_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | sed -n 's|\(/debian\)/\?$|\1|p' | sort -u | head -n1)}
if [[ -z $archive ]]; then
    echo "No Debian archive is configured on this machine: name one by AGENTSIGHT_DEBIAN_MIRROR=URL" >&2
    exit 1
fi
[[ $suite != *-security ]] || archive=$archive-security

work=$(mktemp -d "$home/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,cache,preferences.d}/partial "$work/unpacked"
echo "deb $archive $suite main" >"$work/sources.list"
apt_options=(
    -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- -o Dir::Etc::PreferencesParts="$work/preferences.d"
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Dir::State::status=/dev/null
    -o APT::Architecture=amd64 -o APT::Sandbox::User="$(id -un)"
    -o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::= -o DPkg::Post-Invoke::=
    # An old suite's lists have an end of validity.
    -o Acquire::Check-Valid-Until=false
)
apt-get "${apt_options[@]}" -qq update >&2

[[ $series == newest ]] && number='[0-9.]+' || number=${series//./\\.}'\.[0-9]+'
package=$(apt-cache "${apt_options[@]}" pkgnames linux- |
    grep -E "^linux-(image|binary)-$number[^ ]*-cloud-amd64$" | sed 's/^linux-\(image\|binary\)-//' | sort -Vu | tail -n1)
if [[ -z $package ]]; then
    echo "Debian's $suite has no kernel $series for amd64" >&2
    exit 1
fi
# From 7.0 on the kernel itself is in linux-binary-…, below /usr/lib/modules; before, in linux-image-…, in /boot.
for kind in binary image; do
    apt-cache "${apt_options[@]}" show "linux-$kind-$package" >/dev/null 2>&1 || continue
    (cd "$work" && apt-get "${apt_options[@]}" -qq download "linux-$kind-$package" >&2)
    dpkg -x "$work/linux-$kind-$package"_*.deb "$work/unpacked"
    kernel=$(find "$work/unpacked" -type f -name 'vmlinuz*' -print -quit)
    [[ -z $kernel ]] || break
done
echo "$package" >"$home/version"
mv "$kernel" "$home/vmlinuz" # last, so that a kernel that is there is whole
echo "$home"
