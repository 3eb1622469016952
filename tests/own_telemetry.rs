//! What AgentSight says of itself agrees with what it sent: its counts are those of the spans that arrived.

use std::fs;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::trace::{Span, Trace, Value};

/// A run with these options, sent to a receiver, once its metrics and its own trace have arrived too.
fn run(options: &[&str]) -> Trace {
    let agentsight = Agentsight::as_root();
    let receiver = Receiver::start();
    let endpoint = receiver.endpoint();
    let program = ["--", "sh", "-c", "expr 1 + 2; (exit 5) & wait; exit 7"];
    let arguments = ["run", "--no-tree", "--endpoint", &endpoint];
    let _ = agentsight.run(arguments.iter().chain(options).chain(&program)).expect_code(7);
    // AgentSight's own telemetry comes last, when the command's is through.
    wait_for("AgentSight's own metrics and trace", Duration::from_secs(20), || {
        let trace = receiver.trace();
        (!trace.metrics.is_empty() && trace.spans.iter().any(|span| is_own(span) && span.parent.is_none()))
            .then_some(trace)
    })
}

fn is_own(span: &Span) -> bool {
    span.resource.get("service.name") == Some(&Value::Text("agentsight".to_owned()))
}

/// The sum over a metric's points that have this attribute, or over all.
#[track_caller]
fn sum(trace: &Trace, metric: &str, attribute: Option<(&str, &str)>) -> f64 {
    let points: Vec<_> = trace.metrics.iter().filter(|point| point.metric == metric).collect();
    assert!(!points.is_empty(), "{metric} is not there");
    let is_wanted = |point: &agentsight_tests::trace::Point| {
        attribute.is_none_or(|(name, value)| point.attributes.get(name) == Some(&Value::Text(value.to_owned())))
    };
    points.into_iter().filter(|point| is_wanted(point)).map(|point| point.value).sum()
}

#[test]
fn the_metrics_are_the_counts_of_what_arrived() {
    for protocol in ["grpc", "http/protobuf"] {
        let trace = run(&["--protocol", protocol]);
        let spans: Vec<&Span> = trace.spans.iter().filter(|span| !is_own(span)).collect();
        // The shell, the image it had before its exec, expr, and the subshell: a fork each but for the exec'd image.
        let kind = |kind| sum(&trace, "agentsight.events", Some(("agentsight.event.kind", kind)));
        let pids = spans.iter().map(|span| span.attributes["process.pid"].to_string());
        let processes = f64::from(u32::try_from(pids.collect::<std::collections::BTreeSet<_>>().len()).unwrap());
        assert_eq!((kind("fork"), kind("exit")), (processes, processes), "{trace}");
        assert_eq!(kind("exec"), 2.0, "the shell and expr: {trace}");
        assert_eq!(sum(&trace, "agentsight.events.lost", None), 0.0);
        let arrived = f64::from(u32::try_from(spans.len()).unwrap());
        assert_eq!(sum(&trace, "agentsight.spans.sent", None), arrived, "{trace}");
        assert_eq!(sum(&trace, "agentsight.spans.stored", None), arrived, "{trace}");
        assert_eq!(sum(&trace, "agentsight.spans.rejected", None), 0.0);
        assert_eq!(sum(&trace, "agentsight.spans.dropped", None), 0.0);
        let outcome = |outcome| sum(&trace, "agentsight.otlp.requests", Some(("agentsight.otlp.outcome", outcome)));
        assert!(outcome("success") >= 1.0);
        assert_eq!(outcome("retry") + outcome("rejected"), 0.0);
        assert!(sum(&trace, "agentsight.store.size", None) > 0.0);
        assert!(sum(&trace, "agentsight.bpf.run_count", None) >= kind("fork") + kind("exec") + kind("exit"));
        assert!(sum(&trace, "agentsight.bpf.run_time", None) > 0.0);
        assert!(sum(&trace, "process.cpu.time", None) > 0.0);
        assert!(sum(&trace, "process.memory.usage", None) > 1_000_000.0, "a Rust program with SQLite needs a megabyte");
    }
}

#[test]
fn the_collectors_own_trace_has_one_root_and_tells_the_parts_of_a_run() {
    let trace = run(&["--protocol", "grpc"]);
    let own: Vec<&Span> = trace.spans.iter().filter(|span| is_own(span)).collect();
    let root = own.iter().find(|span| span.parent.is_none()).unwrap();
    assert_eq!(root.name, "collector");
    let mut parts: Vec<&Span> = own.iter().filter(|span| span.id != root.id).copied().collect();
    parts.sort_by_key(|span| span.start_nanos);
    assert_eq!(
        parts.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(),
        ["trace", "drain", "finish", "deliver"]
    );
    for part in parts {
        assert_eq!((part.parent.as_deref(), &part.trace_id), (Some(root.id.as_str()), &root.trace_id));
        assert!(root.start_nanos <= part.start_nanos && part.end_nanos <= root.end_nanos);
    }
    assert!(trace.spans.iter().filter(|span| !is_own(span)).all(|span| span.trace_id != root.trace_id));
}

#[test]
fn no_self_telemetry_means_none() {
    let agentsight = Agentsight::as_root();
    let receiver = Receiver::start();
    let endpoint = receiver.endpoint();
    let arguments = ["run", "--no-tree", "--no-self-telemetry", "--protocol", "grpc", "--endpoint", &endpoint];
    let _ = agentsight.run(arguments.iter().chain(&["--", "true"])).expect_code(0);
    // When the collector is through, nothing more can come.
    wait_for("the end of the collector", Duration::from_secs(60), || (!is_collecting(&agentsight)).then_some(()));
    let trace = receiver.trace();
    assert!(trace.metrics.is_empty() && !trace.spans.is_empty() && trace.spans.iter().all(|span| !is_own(span)));
}

/// Whether a collector with this test's store is alive.
fn is_collecting(agentsight: &Agentsight) -> bool {
    let store = format!("AGENTSIGHT_STORE={}", path_text(&agentsight.directory().join("store")));
    let processes = fs::read_dir("/proc").expect("Linux has /proc").flatten();
    // A process may end while we look.
    processes
        .filter_map(|process| fs::read(process.path().join("environ")).ok())
        .any(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == store.as_bytes()))
}
