"""An agent with OpenTelemetry's own SDK: one span around the command that it is given.

    python3 instrumented.py NAME [--new-trace] COMMAND...

The span's parent is the TRACEPARENT that it was started with, unless --new-trace; the command gets the span's own as
TRACEPARENT. Prints `span NAME TRACE_ID SPAN_ID` at the end, after the span was sent to OTEL_EXPORTER_OTLP_ENDPOINT.
"""

import os
import subprocess
import sys

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


def main():
    name, *command = sys.argv[1:]
    propagator = TraceContextTextMapPropagator()
    context = propagator.extract({"traceparent": os.environ.get("TRACEPARENT", "")})
    if command[0] == "--new-trace":
        command.pop(0)
        context = None
    provider = TracerProvider(resource=Resource({"service.name": "instrumented"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    with provider.get_tracer("instrumented").start_as_current_span(name, context=context) as span:
        carrier = {}
        propagator.inject(carrier)
        code = subprocess.run(command, env={**os.environ, "TRACEPARENT": carrier["traceparent"]}, check=False).returncode
    provider.shutdown()
    ids = span.get_span_context()
    print(f"span {name} {ids.trace_id:032x} {ids.span_id:016x}", flush=True)
    sys.exit(code)


main()
