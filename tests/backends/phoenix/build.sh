#!/bin/bash
# Installs Phoenix, a backend that others wrote for agents, once per machine, and prints its path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../python-environment.sh" "$here" phoenix "Phoenix (about 3 minutes)"
