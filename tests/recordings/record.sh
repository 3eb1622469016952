#!/bin/bash
# Makes the committed recordings anew, with the binary that AGENTSIGHT_BIN names (target/debug/agentsight by default).
# As root: they are runs of real programs on a real kernel. They say nothing about the machine: its name, its id and all
# paths are replaced, in a mount and UTS namespace of their own.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
agentsight=${AGENTSIGHT_BIN:-$here/../../target/debug/agentsight}
only=${1:-}

if [[ ${IN_NAMESPACE:-} != yes ]]; then
    IN_NAMESPACE=yes exec unshare --mount --uts --propagation private "$0" "$@"
fi
hostname laptop
stage=$(mktemp -d)
echo 0123456789abcdef0123456789abcdef >"$stage/machine-id"
mount --bind "$stage/machine-id" /etc/machine-id
install -d /opt/programs
mount -t tmpfs none /opt/programs
cp -r "$here"/../programs/. /opt/programs/
mkdir /opt/programs/work "$stage/store"
cp "$agentsight" "$stage/agentsight"
cd /opt/programs/work

# record NAME [OPTION...] -- COMMAND...: whatever the command's exit code is, the recording is there after it.
record() {
    local name=$1
    shift
    [[ -z $only || $only == "$name" ]] || return 0
    echo "$name"
    env -i PATH=/usr/bin:/bin HOME=/root LC_ALL=C AGENTSIGHT_STORE="$stage/store" \
        "$stage/agentsight" record --no-tree -o "$stage/$name.agsr" "$@" >/dev/null || true
    mv "$stage/$name.agsr" "$here/$name.agsr"
}

record pipeline -- sh ../pipeline.sh
record multiprocessing_pool -- /usr/bin/python3 ../multiprocessing_pool.py
record node_children -- node ../children.js
record make -- make --silent -j4 -C ../c_project
record traceparent --service sample -- sh ../traceparent.sh
record oddities --live-after 200ms --linger 500ms -- sh ../oddities.sh
record segments --live-after 200ms --segment-spans 5 -- sh ../segments.sh
record contents --capture 'co*.json' --capture-net 127.0.0.1 --content-on-spans -- /usr/bin/python3 -S ../reads_and_sends.py
# A ring of one page, and more processes than it holds.
record overload --ring-bytes 4096 -- sh -c 'for i in $(seq 1 97); do /usr/bin/true & done; wait'
# A tree that runs already.
if [[ -z $only || $only == attached ]]; then
    echo attached
    env -i PATH=/usr/bin:/bin HOME=/root LC_ALL=C sh -c '(sleep 2; exit 5) & while [ ! -e go ]; do sleep 0.1; done; /usr/bin/true; wait' &
    tree=$!
    sleep 1
    env -i PATH=/usr/bin:/bin HOME=/root LC_ALL=C AGENTSIGHT_STORE="$stage/store" \
        "$stage/agentsight" attach --no-tree --pid "$tree" --output /dev/null --recording "$stage/attached.agsr" &
    sleep 0.7
    touch go
    wait
    mv "$stage/attached.agsr" "$here/attached.agsr"
fi

cd /
umount /opt/programs /etc/machine-id
rmdir /opt/programs
rm -rf "$stage"
