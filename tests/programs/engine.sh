# To be sourced: starts a Docker Engine of our own, in directories of our own below $here, and ends it with the script.
# To be run in a mount namespace of its own; the engine that the machine may have is not touched.
# Exits with 97 when the engine ended at once, and with 98 when it is not there after 20 s.
export DOCKER_HOST="unix://$here/docker.sock"
mount -t tmpfs none /var/lib/docker
dockerd --host "$DOCKER_HOST" --exec-root "$here/exec" --pidfile "$here/dockerd.pid" \
    --bridge none --iptables=false --ip-forward=false >"$here/dockerd.log" 2>&1 &
engine=$!
trap 'kill "$engine"; wait "$engine" || true' EXIT
until docker version >"$here/version.log" 2>&1; do
    kill -0 "$engine" || exit 97
    tries=$((${tries:-0} + 1))
    [ "$tries" -lt 200 ] || exit 98
    sleep 0.1
done
