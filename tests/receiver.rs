//! What is sent is what was traced, by each protocol and with each compression; `--output` takes the place of sending.

use std::time::Duration;

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::run;
use agentsight_tests::trace::Trace;

const PROGRAM: [&str; 3] = ["sh", "-c", "expr 1 + 2; exit 3"];

#[test]
fn each_protocol_and_compression_carries_the_same_spans() {
    for protocol in ["grpc", "http/protobuf"] {
        for compression in ["none", "gzip", "zstd"] {
            let receiver = Receiver::start();
            let environment = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
                ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", compression.to_owned()),
            ];
            let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let traced = Agentsight::as_root().record(&[], &environment, &PROGRAM);
            let _ = traced.finished.expect_code(3);
            traced.trace.assert_whole();
            let sent = receiver.trace().only_session_of(&traced.trace).sorted();
            assert_eq!(sent.spans, traced.trace.sorted().spans, "{protocol}, {compression}");
        }
    }
}

#[test]
fn output_to_a_file_takes_the_place_of_sending() {
    let receiver = Receiver::start();
    let agentsight = Agentsight::as_root();
    let output = agentsight.directory().join("trace.jsonl");
    let mut command = agentsight.command(["run", "--no-tree", "--no-self-telemetry", "--output"]);
    command.arg(&output).arg("--").args(PROGRAM).env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
    let finished = run(&mut command, Duration::from_secs(60)).expect_code(3);
    agentsight.read(&output, &finished).assert_whole();
    assert_eq!(receiver.trace(), Trace::default());
}
