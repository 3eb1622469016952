//! `agent.yaml`: a trace passes whole, secrets of other programs do not, and what was acknowledged outlives a kill.

use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::backend::free_ports;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::otelcol::{Otelcol, Settings};
use agentsight_tests::programs;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::trace::Value;
use serde_json::json;

use crate::others;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_trace_passes_the_agent_as_it_was_and_secrets_of_other_programs_are_masked() {
    let agentsight = Agentsight::as_root();
    let gateway = Receiver::start();
    let agent = start(&agentsight, &gateway.endpoint());
    let endpoint = format!("http://127.0.0.1:{}", agent.ports.grpc);
    let script = programs::path("pipeline.sh");
    let options = ["--endpoint", &endpoint, "--protocol", "grpc"];
    let traced = agentsight.record(&options, &[], &["sh", path_text(&script)]);
    let id = traced.trace.spans[0].trace_id.clone();
    let secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB";
    others::send(agent.ports.http, 0..1, |_| {
        let attributes = json!([
            {"key": "url.full", "value": {"stringValue": format!("https://api.example.com/?t={secret}")}},
            {"key": "db.password", "value": {"stringValue": "tulip"}},
            {"key": "arguments", "value": {"arrayValue": {"values": [{"stringValue": "push"}, {"stringValue": secret}]}}},
            {"key": "harmless", "value": {"stringValue": "token count 17"}},
        ]);
        (attributes, 0)
    });

    let sent = traced.trace.sorted();
    let arrived = wait_for("both traces", LIMIT, || {
        let arrived = gateway.trace();
        let other = arrived.spans.iter().any(|span| span.name == "other");
        (other && arrived.of_id(&id).spans.len() >= sent.spans.len()).then_some(arrived)
    });
    let here = arrived.of_id(&id).sorted();
    assert!(here.spans == sent.spans, "behind the Collector\n{here}\nbefore it\n{sent}");
    let other = arrived.spans.iter().find(|span| span.name == "other").expect("it was waited for");
    let said = format!("{:?}", other.attributes);
    assert!(!said.contains("ghp_") && !said.contains("tulip"), "{said}");
    assert_eq!(other.attributes["harmless"], Value::Text("token count 17".to_owned()));
    assert_eq!(other.attributes["redaction.masked.count"], Value::Int(3));
    agent.assert_up_to_date();
}

#[test]
fn what_the_agent_acknowledged_outlives_its_kill_while_the_gateway_is_down() {
    let agentsight = Agentsight::as_root();
    let [port] = free_ports();
    let gateway = format!("127.0.0.1:{port}");
    let agent = start(&agentsight, &gateway);
    let endpoint = format!("http://127.0.0.1:{}", agent.ports.grpc);
    let options = ["--no-self-telemetry", "--endpoint", &endpoint, "--protocol", "grpc"];
    let traced = agentsight.record(&options, &[], &["sh", path_text(&programs::path("pipeline.sh"))]);
    let sent = traced.trace.sorted();
    let count = f64::from(u32::try_from(sent.spans.len()).expect("it is a small trace"));
    let accepted = || agent.own_metric("otelcol_receiver_accepted_spans");
    wait_for("the acknowledgement", LIMIT, || (accepted() >= count).then_some(()));
    agent.kill();

    let _agent = start(&agentsight, &gateway);
    let gateway = Receiver::start_on(port);
    let arrived = wait_for("what was in the queue", LIMIT, || {
        Some(gateway.trace()).filter(|arrived| arrived.spans.len() >= sent.spans.len())
    });
    let arrived = arrived.sorted();
    assert!(arrived.spans == sent.spans, "after the kill\n{arrived}\nbefore it\n{sent}");
}

fn start(agentsight: &Agentsight, gateway: &str) -> Otelcol {
    let gateway = gateway.trim_start_matches("http://");
    let environment = [("GATEWAY_ENDPOINT", gateway), ("GATEWAY_INSECURE", "true")];
    Otelcol::start(Settings::shipped("agent"), &environment, agentsight.directory())
}
