//! A backend that others wrote for agents has each span once, as it was: Phoenix. It keeps no links and no kinds of spans.
//! By `make test-phoenix`: installing it takes minutes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::backend::{Running, cached, free_ports};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::http::get;
use agentsight_tests::programs;
use agentsight_tests::trace::Span;
use serde_json::Value;

/// Its first start makes a database.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn phoenix_has_the_whole_tree_with_status_and_attributes() {
    let agentsight = Agentsight::as_root();
    let here = agentsight.directory();
    let [http, grpc] = free_ports();
    let log = here.join("phoenix.log");
    let output = File::create(&log).expect("the test's directory is writable");
    let mut command = Command::new(cached("phoenix"));
    command.arg("serve").env("PHOENIX_WORKING_DIR", here.join("phoenix")).env("PHOENIX_HOST", "127.0.0.1");
    command.env("PHOENIX_PORT", http.to_string()).env("PHOENIX_GRPC_PORT", grpc.to_string());
    command.env("PHOENIX_TELEMETRY_ENABLED", "false");
    command.stdin(Stdio::null()).stdout(output.try_clone().expect("a file can be shared")).stderr(output);
    let mut phoenix = Running(command.spawn().expect("it was installed"));
    wait_for("Phoenix", LIMIT, || {
        if let Ok(Some(status)) = phoenix.0.try_wait() {
            panic!("Phoenix ended with {status}:\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
        get(http, "/healthz").filter(|(code, _)| *code == 200)
    });

    // What it says of its start is no answer to us: it makes tables, and looks for a server on the internet.
    let before = fs::read(&log).expect("it is written to").len();
    let endpoint = format!("http://127.0.0.1:{grpc}");
    let options = ["--protocol", "grpc", "--endpoint", &endpoint];
    let script = programs::path("lifecycle.sh");
    let traced = agentsight.record(&options, &[], &["sh", path_text(&script)]);
    let sent = &traced.trace.spans;
    let stored = wait_for("the trace in Phoenix", LIMIT, || {
        let (_, body) = get(http, "/v1/projects/default/spans?limit=1000").filter(|(code, _)| *code == 200)?;
        let answer: Value = serde_json::from_str(&body).expect("Phoenix answers in JSON");
        let all = answer["data"].as_array()?.iter();
        let ours = all.filter(|span| span["context"]["trace_id"] == sent[0].trace_id.as_str());
        let by_id: BTreeMap<String, Value> = ours
            .map(|span| (span["context"]["span_id"].as_str().unwrap_or_default().to_owned(), span.clone()))
            .collect();
        (by_id.len() >= sent.len()).then_some(by_id)
    });
    assert_eq!(stored.len(), sent.len());
    for span in sent {
        assert_same(span, &stored[&span.id]);
    }
    let said = fs::read(&log).expect("it is written to");
    let said = String::from_utf8_lossy(&said[before..]);
    let complaint =
        said.lines().find(|line| ["ERROR", "WARNING", "Traceback"].iter().any(|word| line.starts_with(word)));
    assert_eq!(complaint, None, "{said}");
}

#[track_caller]
fn assert_same(sent: &Span, stored: &Value) {
    assert_eq!(stored["name"], sent.name.as_str());
    assert_eq!(stored["parent_id"].as_str(), sent.parent.as_deref(), "{}", sent.name);
    let status = ["UNSET", "OK", "ERROR"][usize::try_from(sent.status_code).expect("a status is 0, 1 or 2")];
    assert_eq!(stored["status_code"], status, "{}", sent.name);
    assert_eq!(stored["events"].as_array().map(Vec::len), Some(sent.events.len()), "{}", sent.name);
    for name in ["process.executable.name", "agentsight.session.id", "agentsight.lineage"] {
        assert_eq!(stored["attributes"][name].as_str().unwrap_or_default(), sent.text(name), "{}: {name}", sent.name);
    }
}
