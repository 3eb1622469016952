#!/bin/bash
# Packs an initial file system out of this machine's own programs: initrd.sh FILE AGENTSIGHT TEST...
# It has shells, some of coreutils, as much of Python as one scenario takes, the libraries that all these and the tests were
# linked with, and nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
file=$1 agentsight=$2
shift 2

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{usr/bin,usr/lib,usr/lib64,usr/sbin,dev,proc,sys,tmp,root,tests}
# Nothing is mounted there: the repository may be below it.
chmod 1777 "$root/tmp"
# As every distribution of today has it.
ln -s usr/bin "$root/bin"
ln -s usr/sbin "$root/sbin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"

# The binary itself, not a shim of it: what the traced tree looks like must not hang on the machine.
for program in sh bash env true false cat cp mv install sort sleep basename mount sync ip; do
    path=$(PATH=/usr/bin:/bin:/usr/sbin:/sbin command -pv "$program" || true)
    [[ $path == /* ]] || path=/bin/$program
    cp --dereference "$path" "$root/usr/bin/$program"
done
# Debug information is most of a debug build, and the virtual machine unpacks it all.
strip --strip-debug -o "$root/tests/agentsight" "$agentsight"
for test in "$@"; do
    strip --strip-debug -o "$root/tests/$(basename "$test" | sed 's/-[0-9a-f]*$//').test" "$test"
done
cp "$here/init" "$root/init"
# Tests find the programs that they trace where the repository is.
mkdir -p "$root$(dirname "$here")"
cp -r "$here/../programs" "$root$(dirname "$here")/"
mkdir -p "$root$here"
cp "$here"/*.scenario "$root$here/"
# Those that are to be written anew are compared with nothing.
[[ -n ${UPDATE_EXPECT:-} ]] || cp -r "$here/verifier" "$root$here/"
mkdir -p "$root/usr/include"
cp /usr/include/stdio.h "$root/usr/include/" # what scenarios read

# Of Python's library no more than what these lead to.
/usr/bin/python3 -IS -c 'import encodings.idna, os, site, socket, sys
print(sys.executable)
for module in list(sys.modules.values()): print(getattr(module, "__file__", None) or "")' |
    sed '/^$/d' | sort -u | while read -r file; do
    mkdir -p "$root$(dirname "$file")"
    cp --dereference "$file" "$root$file"
done

# Where each was found is where the loader looks for it, /lib and /usr/lib being one.
{ ldd "$root"/usr/bin/* "$root"/tests/*; find "$root/usr/lib" -name '*.so' -exec ldd {} +; } 2>/dev/null | grep -o '/[^ ]*' | grep -v ':$' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp --dereference "$library" "$root$library"
done
(cd "$root" && find . -print0 | cpio --null --create --format=newc --owner=0:0 --quiet) >"$file"
