//! What a user of a real Jaeger v2 sees: the whole tree, each span once, joined to the spans of OpenTelemetry's own SDK.

use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, path_text, without_opentelemetry};
use agentsight_tests::backend::cached;
use agentsight_tests::jaeger::Jaeger;
use agentsight_tests::programs;
use agentsight_tests::run::{Finished, run};
use agentsight_tests::trace::{Span, Trace};

#[test]
fn a_trace_sent_by_grpc_is_in_jaeger_as_its_recording_replays() {
    let jaeger = Jaeger::start();
    assert_same_in_jaeger(&jaeger, &["--endpoint", &jaeger.grpc_endpoint(), "--protocol", "grpc"]);
}

#[test]
fn a_trace_sent_by_http_is_in_jaeger_as_its_recording_replays() {
    let jaeger = Jaeger::start();
    assert_same_in_jaeger(&jaeger, &["--endpoint", &jaeger.http_endpoint(), "--protocol", "http/protobuf"]);
}

#[test]
fn a_trace_sent_in_json_is_in_jaeger_as_its_recording_replays() {
    let jaeger = Jaeger::start();
    assert_same_in_jaeger(&jaeger, &["--endpoint", &jaeger.http_endpoint(), "--protocol", "http/json"]);
}

#[test]
fn a_command_run_inside_a_span_of_the_sdk_hangs_under_that_span() {
    let jaeger = Jaeger::start();
    let finished = instrumented(&jaeger, &["app"], &["sh", "-c", "expr 1 + 2; exit 3"]).expect_code(3);
    let (trace_id, app) = printed(&finished, "app");

    // app, sh and expr.
    let trace = jaeger.processes(&trace_id, 3);
    trace.assert_whole();
    assert_eq!(trace.spans.len(), 3, "{trace}");
    assert_eq!(trace.roots()[0].id, app, "{trace}");
    let shell = trace.children(&app)[0];
    assert_eq!((shell.texts("process.command_args")[0], shell.int("process.exit.code")), ("sh", Some(3)), "{trace}");
    assert_eq!(trace.children(&shell.id)[0].text("process.executable.name"), "expr", "{trace}");
}

#[test]
fn a_child_that_a_traced_agent_gives_its_own_span_as_parent_hangs_there_with_a_lineage_link() {
    let jaeger = Jaeger::start();
    let finished = instrumented(&jaeger, &["app"], &agent_in_the_middle(&["tool"])).expect_code(0);
    let (trace_id, app) = printed(&finished, "app");
    let (same_trace, tool) = printed(&finished, "tool");
    assert_eq!(trace_id, same_trace, "the agent in the middle continues the trace");

    // app → python (AgentSight's) → tool (the SDK's) → expr (AgentSight's).
    let trace = jaeger.processes(&trace_id, 4);
    trace.assert_whole();
    assert_eq!(trace.spans.len(), 4, "{trace}");
    let agent = trace.children(&app)[0];
    assert_eq!(trace.span(&tool).and_then(|tool| tool.parent.as_deref()), Some(agent.id.as_str()), "{trace}");
    let program = trace.children(&tool)[0];
    assert_eq!(program.text("process.executable.name"), "expr", "{trace}");
    assert_lineage(program, agent, &trace);
}

#[test]
fn a_child_that_a_traced_agent_puts_into_another_trace_is_there_with_a_link_back() {
    let jaeger = Jaeger::start();
    let finished = instrumented(&jaeger, &["app"], &agent_in_the_middle(&["tool", "--new-trace"])).expect_code(0);
    let (trace_id, app) = printed(&finished, "app");
    let (other_trace_id, tool) = printed(&finished, "tool");
    assert_ne!(trace_id, other_trace_id);

    let trace = jaeger.processes(&trace_id, 2);
    trace.assert_whole();
    let other = jaeger.processes(&other_trace_id, 2);
    other.assert_whole();
    assert_eq!((trace.spans.len(), other.spans.len()), (2, 2), "{trace}{other}");
    let program = other.children(&tool)[0];
    assert_eq!(program.text("process.executable.name"), "expr", "{other}");
    assert_lineage(program, trace.children(&app)[0], &other);
}

#[track_caller]
fn assert_same_in_jaeger(jaeger: &Jaeger, options: &[&str]) {
    let agentsight = Agentsight::as_root();
    let traced = agentsight.record(options, &[], &["sh", path_text(&programs::path("pipeline.sh"))]);
    let _ = traced.finished.expect_code(7);
    traced.trace.assert_whole();

    let in_jaeger = jaeger.trace(&traced.trace.spans[0].trace_id, traced.trace.spans.len());
    in_jaeger.assert_whole();
    let (expected, seen) = (traced.trace.sorted(), in_jaeger.sorted());
    assert!(seen.spans == expected.spans, "Jaeger has\n{seen}\nthe replay has\n{expected}");
}

/// Runs `agentsight run -- program` inside a span of the SDK; both send to Jaeger.
fn instrumented(jaeger: &Jaeger, name: &[&str], program: &[&str]) -> Finished {
    let agentsight = Agentsight::as_root();
    let mut command = Command::new(cached("python-sdk"));
    command.arg(programs::path("instrumented.py")).args(name);
    command.arg(binary()).args(["run", "--no-tree", "--"]).args(program);
    without_opentelemetry(&mut command);
    command.env("AGENTSIGHT_STORE", agentsight.directory().join("store"));
    // Port and protocol as the specification has them by default: HTTP/protobuf, for AgentSight as for the SDK.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.http_endpoint());
    run(&mut command, Duration::from_secs(120))
}

/// A traced program that is itself an agent with the SDK, and runs `expr` inside a span of its own.
fn agent_in_the_middle(name: &[&'static str]) -> Vec<&'static str> {
    let python: &'static str = Box::leak(path_text(&cached("python-sdk")).to_owned().into_boxed_str());
    let script: &'static str = Box::leak(path_text(&programs::path("instrumented.py")).to_owned().into_boxed_str());
    [&[python, script], name, &["expr", "1", "+", "2"]].concat()
}

/// Trace and span id that `instrumented.py` printed.
#[track_caller]
fn printed(finished: &Finished, name: &str) -> (String, String) {
    let line = finished.stdout.lines().find_map(|line| line.strip_prefix(&format!("span {name} ")));
    let ids = line.and_then(|line| line.split_once(' ')).unwrap_or_else(|| panic!("no span {name}: {finished:?}"));
    (ids.0.to_owned(), ids.1.to_owned())
}

#[track_caller]
fn assert_lineage(program: &Span, forker: &Span, trace: &Trace) {
    let is_lineage = program
        .links
        .iter()
        .any(|link| link.is("lineage") && (&link.trace_id, &link.span_id) == (&forker.trace_id, &forker.id));
    assert!(is_lineage, "no lineage link from {} back to {} in\n{trace}", program.name, forker.id);
}
