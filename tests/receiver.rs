//! What is sent is what `--output` writes, by each protocol and with each compression.

use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::run;

#[test]
fn each_protocol_and_compression_carries_the_same_spans() {
    for protocol in ["grpc", "http/protobuf"] {
        for compression in ["none", "gzip", "zstd"] {
            let agentsight = Agentsight::as_root();
            let receiver = Receiver::start();
            let output = agentsight.directory().join("trace.jsonl");
            let arguments =
                ["run", "--no-tree", "--output", path_text(&output), "--", "sh", "-c", "expr 1 + 2; exit 3"];
            let mut command = agentsight.command(arguments);
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
            command
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
                .env("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", compression);
            let finished = run(&mut command, Duration::from_secs(60)).expect_code(3);
            let (written, sent) = (agentsight.read(&output, &finished), receiver.trace());
            written.assert_whole();
            let sent_of_command = sent.only_session_of(&written).sorted();
            assert_eq!(sent_of_command.spans, written.sorted().spans, "{protocol}, {compression}");
        }
    }
}
