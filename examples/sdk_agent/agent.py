"""A sample agent with OpenTelemetry's own SDK: a span for its task and one for each tool call.

Each tool is a real program, started with the tool span as TRACEPARENT, so that AgentSight, where it watches, hangs what the
kernel saw under the span that the agent reported: one trace with both. Its "model" is a fixed list, so it needs no
network and no key. Spans go to OTEL_EXPORTER_OTLP_ENDPOINT.

    python3 agent.py [--every SECONDS]
"""

import argparse
import os
import subprocess
import sys
import time

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

TOOLS = [
    ("write_file", ["sh", "-c", "printf 'folder: inbox\\n' > settings.yaml"]),
    ("read_file", ["cat", "settings.yaml"]),
    ("search", ["sh", "-c", "grep -c folder settings.yaml | sort"]),
    ("run_tests", ["python3", "-c", "raise SystemExit(1)"]),
]


def run_task(tracer):
    """One task: every tool once. Gives the trace's id."""
    context = propagate.extract({"traceparent": os.environ.get("TRACEPARENT", "")})
    with tracer.start_as_current_span("task", context=context) as task:
        for name, command in TOOLS:
            with tracer.start_as_current_span(f"execute_tool {name}") as tool:
                tool.set_attribute("gen_ai.operation.name", "execute_tool")
                tool.set_attribute("gen_ai.tool.name", name)
                carrier = {}
                propagate.inject(carrier)
                environment = {**os.environ, "TRACEPARENT": carrier["traceparent"]}
                code = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode
                if code:
                    tool.set_status(trace.StatusCode.ERROR, f"exit code {code}")
        return task.get_span_context().trace_id


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=float, metavar="SECONDS", help="repeat the task for ever")
    arguments = parser.parse_args()
    name = os.environ.get("OTEL_SERVICE_NAME", "sample-agent")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    tracer = trace.get_tracer("sample-agent")
    while True:
        print(f"trace {run_task(tracer):032x}", flush=True)
        provider.force_flush()
        if not arguments.every:
            break
        time.sleep(arguments.every)
    provider.shutdown()


if __name__ == "__main__":
    sys.exit(main())
