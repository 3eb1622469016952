#!/bin/bash
# Builds the real Jaeger that tests send to, once per machine, and prints its path.
# go.mod is Jaeger's own list of requirements; go.sum is complete by hand, because the checksum
# database does not know some of them: never run `go mod tidy` here.
set -euo pipefail

version=2.13.0
package=github.com/jaegertracing/jaeger/cmd/jaeger

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

go=$("$here/../go.sh")
echo "building Jaeger $version for the tests, once (about 10 minutes)" >&2
source=$(mktemp -d "$home/build.XXXXXX")
trap 'rm -rf "$source"' EXIT
cp "$here/go.mod" "$here/go.sum" "$source/"
(cd "$source" && "$go" build -trimpath -ldflags '-s -w' -o jaeger "$package") >&2
mv "$source/jaeger" "$binary" # within one file system: nobody ever sees half a binary
echo "$binary"
