//! PromQL is asked of a real Prometheus that scraped a real Collector, through which real runs were sent.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::backend::{Running, free_ports};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::http::get;
use agentsight_tests::otelcol::{Otelcol, Settings};
use agentsight_tests::programs;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::requirement::need_program;
use serde_json::{Value, json};

use crate::board::{Question, folder, questions};

const LIMIT: Duration = Duration::from_secs(60);

/// A connection on the loopback interface, and a file that is written and read.
const TALK: &str = "import socket
listener = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(listener.getsockname())
client.sendall(b'tulip')
open('/tmp/agentsight-tulip', 'w').write(listener.accept()[0].recv(5).decode())
open('/tmp/agentsight-tulip').read()
";

#[test]
fn every_number_question_is_answered_with_data_by_a_prometheus_that_scraped_a_collector() {
    let agentsight = Agentsight::as_root();
    let backend = Receiver::start();
    let endpoint = backend.endpoint();
    let exporters = "[span_metrics, otlp_grpc/jaeger]";
    let environment =
        [("JAEGER_ENDPOINT", endpoint.trim_start_matches("http://")), ("LOCAL_TRACE_EXPORTERS", exporters)];
    // More often than users need it.
    let settings = Settings::shipped("local").with("/connectors/span_metrics/metrics_flush_interval", json!("1s"));
    let collector = Otelcol::start(settings, &environment, agentsight.directory());
    let prometheus = Prometheus::start(&agentsight, &collector);

    let to_collector = format!("http://127.0.0.1:{}", collector.ports.grpc);
    let script = programs::path("lifecycle.sh");
    let talk =
        ["run", "--no-tree", "--protocol", "grpc", "--endpoint", &to_collector, "--", programs::python(), "-c", TALK];
    let options =
        ["run", "--no-tree", "--protocol", "grpc", "--endpoint", &to_collector, "--", "sh", path_text(&script)];
    let mut unanswered = questions("prometheus", "expr");
    wait_for("an answer to every question", LIMIT, || {
        // The lifecycle has failures in it, and exits with one.
        let _ = agentsight.run(options);
        let _ = agentsight.run(talk);
        unanswered.retain(|question| !prometheus.has_answer(question));
        if unanswered.is_empty() {
            return Some(());
        }
        eprintln!("no answer yet: {unanswered:#?}");
        None
    });
    collector.assert_up_to_date();
}

struct Prometheus {
    port: u16,
    _process: Running,
}

impl Prometheus {
    /// With the shipped settings, but for the addresses, and the times between scrapes.
    fn start(agentsight: &Agentsight, collector: &Otelcol) -> Self {
        let program = need_program("prometheus", "prometheus");
        let shipped = fs::read_to_string(folder().join("prometheus.yaml")).expect("it is part of the repository");
        let here = shipped
            .replace("collector:8889", &format!("127.0.0.1:{}", collector.ports.prometheus))
            .replace("collector:8888", &format!("127.0.0.1:{}", collector.ports.own))
            .replace("scrape_interval: 5s", "scrape_interval: 1s");
        let config = agentsight.directory().join("prometheus.yaml");
        fs::write(&config, here).expect("the test's directory is writable");
        let [port] = free_ports();
        let data: PathBuf = agentsight.directory().join("prometheus");
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", data.display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=error");
        let process = Running(command.stdin(Stdio::null()).spawn().expect("it was found"));
        wait_for("Prometheus", LIMIT, || get(port, "/-/ready").filter(|(code, _)| *code == 200));
        Self { port, _process: process }
    }

    /// Whether it answers with data. Variables are filled in as Grafana does.
    fn has_answer(&self, question: &Question) -> bool {
        let filled = [("$__rate_interval", "10s"), ("$__range", "1m"), ("$agent", ".*")];
        let text = filled.iter().fold(question.text.clone(), |text, (name, value)| text.replace(name, value));
        assert!(!text.contains('$'), "{}: a variable that the test does not know in {text}", question.place);
        let path = format!("/api/v1/query?query={}", encoded(&text));
        let (code, body) = get(self.port, &path).expect("Prometheus answers");
        assert_eq!(code, 200, "{}: {body}", question.place);
        let answer: Value = serde_json::from_str(&body).expect("Prometheus answers in JSON");
        answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty())
    }
}

/// Percent-encoded for a URL's query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
