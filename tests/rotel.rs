//! A receiver that shares no code with Jaeger, the Collector or us takes the same spans and hands them on unchanged: Rotel.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::backend::{Running, cached, free_ports};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::programs;
use agentsight_tests::receiver::Receiver;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn rotel_takes_a_trace_by_grpc_without_complaint() {
    assert_passes("grpc");
}

#[test]
fn rotel_takes_a_trace_by_http_without_complaint() {
    assert_passes("http/protobuf");
}

#[track_caller]
fn assert_passes(protocol: &str) {
    let agentsight = Agentsight::as_root();
    let behind = Receiver::start();
    let [grpc, http] = free_ports();
    let log = agentsight.directory().join("rotel.log");
    let mut command = Command::new(cached("rotel"));
    command.args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "grpc", "--batch-timeout", "100ms"]);
    command.args(["--otlp-exporter-endpoint", &behind.endpoint()]);
    command.arg("--otlp-grpc-endpoint").arg(format!("127.0.0.1:{grpc}"));
    command.arg("--otlp-http-endpoint").arg(format!("127.0.0.1:{http}"));
    let output = File::create(&log).expect("the test's directory is writable");
    command.stdin(Stdio::null()).stdout(output.try_clone().expect("a file can be shared")).stderr(output);
    let mut rotel = Running(command.spawn().expect("it was installed"));
    wait_for("Rotel", LIMIT, || {
        if let Ok(Some(status)) = rotel.0.try_wait() {
            panic!("Rotel ended with {status}:\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
        [grpc, http].iter().all(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok()).then_some(())
    });

    let endpoint = format!("http://127.0.0.1:{}", if protocol == "grpc" { grpc } else { http });
    let options = ["--endpoint", &endpoint, "--protocol", protocol];
    let script = programs::path("lifecycle.sh");
    let traced = agentsight.record(&options, &[], &["sh", path_text(&script)]);
    let sent = traced.trace.sorted();
    let arrived = wait_for("the trace behind Rotel", LIMIT, || {
        let arrived = behind.trace().of_id(&sent.spans[0].trace_id);
        (arrived.spans.len() >= sent.spans.len()).then_some(arrived)
    });
    let arrived = arrived.sorted();
    assert!(arrived.spans == sent.spans, "behind Rotel\n{arrived}\nbefore it\n{sent}");
    let said = fs::read_to_string(&log).unwrap_or_default();
    assert!(!said.contains("ERROR") && !said.contains("WARN"), "{said}");
}
