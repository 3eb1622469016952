#!/bin/bash
# Installs the OpenTelemetry SDK for Python that plays the agent's own instrumentation, once per machine, and prints its python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../python-environment.sh" "$here" python3 "the OpenTelemetry SDK for Python"
