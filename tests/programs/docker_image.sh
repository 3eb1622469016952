#!/bin/sh
# AgentSight's own image at work: docker_image.sh PROGRAM SOURCES builds the image from SOURCES/target/package/agentsight, and
# traces from its container PROGRAM, a static one, in another. What it wrote is in ./trace.jsonl then.
# docker_image.sh PROGRAM SOURCES DEBIAN TOOLCHAIN builds it from source instead, upon a Debian (a tar archive) that is given
# Rust's toolchain (a folder), as no image can be pulled everywhere.
set -eu
program=$1
sources=$2
here=$PWD
. "$(dirname "$0")/engine.sh"
# BuildKit is not everywhere, and the files need nothing of it.
export DOCKER_BUILDKIT=0
if [ $# -gt 2 ]; then
    docker import "$3" example/debian >/dev/null
    docker create --name rust --network none example/debian true >/dev/null
    docker cp "$4/bin/." rust:/usr/local/bin/ >/dev/null
    docker cp "$4/lib/." rust:/usr/local/lib/ >/dev/null
    mkdir -p "$here/ssl/certs"
    cp /etc/ssl/certs/ca-certificates.crt "$here/ssl/certs/"
    docker cp "$here/ssl" rust:/etc/ >/dev/null
    # What the program does is the question here, not how fast: an optimized build takes several times as long.
    docker commit --change 'ENV CARGO_PROFILE_RELEASE_OPT_LEVEL=0' --change 'ENV CARGO_PROFILE_RELEASE_LTO=off' \
        rust example/rust >/dev/null
    docker build --network host --build-arg BUILDER=example/rust --tag agentsight "$sources" >"$here/build.log" 2>&1 || {
        tail -n 40 "$here/build.log" >&2
        exit 95
    }
else
    docker build --tag agentsight --file "$sources/packaging/Dockerfile" "$sources" >"$here/build.log" 2>&1
fi
tar --create --directory "$(dirname "$program")" "$(basename "$program")" | docker import - example/odd:7 >/dev/null
docker run --detach --cidfile "$here/id" --network none --volume "$here:/outside" example/odd:7 \
    "/$(basename "$program")" /outside/gate >/dev/null
pid=$(docker inspect --format '{{.State.Pid}}' "$(cat "$here/id")")
# Capabilities, namespaces and mounts as docker-compose.yml has them.
docker run --detach --name watcher --pid host --network host \
    --cap-drop ALL --cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH \
    --security-opt apparmor:unconfined --volume /sys:/sys:ro --volume "$here:/outside" \
    --volume /var/lib/docker/containers:/var/lib/docker/containers:ro --volume /var/lib/docker/image:/var/lib/docker/image:ro \
    agentsight attach --no-tree --output /outside/trace.jsonl --pid "$pid" >/dev/null
until docker logs watcher 2>&1 | grep -q 'tracing process'; do
    tries=$((${tries:-0} + 1))
    [ "$tries" -lt 600 ] && [ "$(docker inspect --format '{{.State.Running}}' watcher)" = true ] || {
        docker logs watcher >&2
        exit 96
    }
    sleep 0.1
done
: >"$here/gate"
code=$(docker wait "$(cat "$here/id")")
docker wait watcher >/dev/null
docker logs watcher >&2
echo "$code $(cat "$here/id")"
