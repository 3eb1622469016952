#!/bin/bash
# Cargo's runner for test binaries where the caller is not root. PATH is passed on by hand: sudo replaces it even with -E.
set -euo pipefail
exec sudo -E env "PATH=$PATH" "HOME=$HOME" "$@"
