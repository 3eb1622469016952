#!/bin/sh
# A Docker Engine of our own, in directories of our own, that runs one container: docker.sh PROGRAM, a static one.
# To be run in a mount namespace of its own; the engine that the machine may have is not touched.
set -eu
program=$1
here=$PWD
. "$(dirname "$0")/engine.sh"
tar --create --directory "$(dirname "$program")" "$(basename "$program")" | docker import - example/odd:7 >/dev/null
code=0
# With a gate, a FIFO beside, the program waits until somebody opens it; its process id is told meanwhile.
gate=
[ ! -p "$here/gate" ] || gate=/outside/gate
docker run --detach --cidfile "$here/id" --network none --volume "$here:/outside" example/odd:7 \
    "/$(basename "$program")" $gate >/dev/null
docker inspect --format '{{.State.Pid}}' "$(cat "$here/id")" >"$here/pid.new"
mv "$here/pid.new" "$here/pid"
code=$(docker wait "$(cat "$here/id")")
echo "$code $(cat "$here/id")"
