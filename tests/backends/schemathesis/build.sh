#!/bin/bash
# Installs schemathesis, which asks an API what its OpenAPI document allows and more, once per machine, and prints its path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../python-environment.sh" "$here" schemathesis "schemathesis"
