#!/bin/bash
# Builds the real OpenTelemetry Collector that tests send through, once per machine, and prints its path.
# The sources and go.mod are what its builder makes of builder.yaml (`builder --config builder.yaml --skip-get-modules
# --skip-compilation`). go.sum is complete by hand, because the checksum database does not know some modules: never run
# `go mod tidy` here.
set -euo pipefail

version=0.155.0

here=$(cd "$(dirname "$0")" && pwd)
home=${XDG_CACHE_HOME:-$HOME/.cache}/agentsight/otelcol-v$version
binary=$home/otelcol
mkdir -p "$home"
exec 9>"$home/.lock"
flock 9
if [[ -x $binary ]]; then
    echo "$binary"
    exit 0
fi

go=$("$here/../go.sh")
echo "building the OpenTelemetry Collector $version for the tests, once (about 5 minutes)" >&2
source=$(mktemp -d "$home/build.XXXXXX")
trap 'rm -rf "$source"' EXIT
cp "$here"/*.go "$here/go.mod" "$here/go.sum" "$source/"
(cd "$source" && "$go" build -trimpath -ldflags '-s -w' -o otelcol .) >&2
mv "$source/otelcol" "$binary" # within one file system: nobody ever sees half a binary
echo "$binary"
