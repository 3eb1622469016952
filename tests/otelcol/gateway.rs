//! `gateway.yaml`: of AgentSight's traces all, of others a share and the failed ones, and metrics of all.

use std::collections::BTreeSet;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::otelcol::{Otelcol, Settings};
use agentsight_tests::programs;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::trace::Value;
use serde_json::json;

use crate::others;

const LIMIT: Duration = Duration::from_secs(30);
/// Of these others, every 20th failed.
const OTHERS: u32 = 200;
const FAILED: usize = 10;

#[test]
fn the_gateway_keeps_agentsights_traces_and_failed_ones_drops_a_share_of_others_and_counts_all() {
    let agentsight = Agentsight::as_root();
    let backend = Receiver::start();
    let gateway = Otelcol::start(settings(), &environment(&backend.endpoint()), agentsight.directory());
    let endpoint = format!("http://127.0.0.1:{}", gateway.ports.grpc);
    let options = ["--endpoint", &endpoint, "--protocol", "grpc"];
    let traced = agentsight.record(&options, &[], &["sh", path_text(&programs::path("lifecycle.sh"))]);
    others::send(gateway.ports.http, 0..OTHERS, |number| (json!([]), if number % 20 == 0 { 2 } else { 0 }));

    let id = &traced.trace.spans[0].trace_id;
    let decided = || gateway.own_metric("otelcol_processor_tail_sampling_global_count_traces_sampled");
    wait_for("a decision on each trace", LIMIT, || (decided() > f64::from(OTHERS)).then_some(()));
    let arrived = wait_for("what was kept", LIMIT, || {
        let arrived = backend.trace();
        let failed = arrived.spans.iter().filter(|span| span.name == "other" && span.status_code == 2).count();
        (failed == FAILED && arrived.of_id(id).spans.len() >= traced.trace.spans.len()).then_some(arrived)
    });
    let kept = arrived.of_id(id);
    kept.assert_whole();
    assert_eq!(kept.spans.len(), traced.trace.spans.len(), "{kept}");
    let mark = Value::Text("agentsight".to_owned());
    assert!(kept.spans.iter().all(|span| span.resource["telemetry.distro.name"] == mark), "{kept}");
    let others: BTreeSet<&str> =
        arrived.spans.iter().filter(|span| span.name == "other").map(|span| span.trace_id.as_str()).collect();
    // By their ids, so each run keeps the same ones: about the 30 percent asked for, and the failed.
    assert!((50..=90).contains(&others.len()), "{} of {OTHERS} others are there", others.len());

    let processes = kept.spans.iter().filter(|span| span.text("agentsight.object.type") == "process").count();
    let expected = (f64::from(OTHERS), f64::from(u32::try_from(processes).expect("it is a small trace")));
    let metrics = wait_for("span metrics of all spans", LIMIT, || {
        let metrics = gateway.metrics();
        let counted =
            (calls(&metrics, "service_name=\"other\""), calls(&metrics, "agentsight_object_type=\"process\""));
        (counted == expected).then_some(metrics)
    });
    assert!(!metrics.contains("span_name="), "names of spans would make a series of every file:\n{metrics}");
    gateway.assert_up_to_date();
}

/// How many spans were counted with this label.
fn calls(metrics: &str, label: &str) -> f64 {
    let calls = metrics.lines().filter(|line| line.starts_with("traces_span_metrics_calls_total{"));
    let values =
        calls.filter(|line| line.contains(label)).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

/// Other than shipped: the exporter `load_balancing`, which the test's build does not have, is `otlp_grpc` to the second
/// tier of the same Collector, which is what it does with one replica; less patience; and a share that a small number
/// of traces can show.
fn settings() -> Settings {
    Settings::shipped("gateway")
        .in_place_of(
            "exporters",
            "load_balancing",
            "otlp_grpc/whole_traces",
            json!({"endpoint": "WHOLE_TRACES", "tls": {"insecure": true}, "sending_queue": {"batch": {"flush_timeout": "100ms"}}}),
        )
        .with("/processors/tail_sampling/decision_wait", json!("2s"))
        .with("/connectors/span_metrics/metrics_flush_interval", json!("1s"))
}

fn environment(backend: &str) -> [(&str, &str); 3] {
    let backend = backend.trim_start_matches("http://");
    [("BACKEND_ENDPOINT", backend), ("BACKEND_INSECURE", "true"), ("SAMPLE_PERCENT", "30")]
}
