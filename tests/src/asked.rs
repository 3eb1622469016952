//! Every question that can be asked of what one script did, so that two places that have its spans can be asked the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::agentsight::Agentsight;
use crate::difference::difference;
use crate::programs::python;

const LIMIT: Duration = Duration::from_secs(60);

/// Programs, files, pipes, a unix socket and a connection, in this order of their kinds.
const SCRIPT: &str = r#"cd "$1"; expr 1 + 2; cat /etc/hosts | wc -l; (exec /bin/false)
echo first > a.txt; cat a.txt > 'b "c" \d.txt'; mv 'b "c" \d.txt' e.txt
"$0" -I -S -c '
import os, socket, threading
data = open("a.txt").read()
def talk(server, client):
    def answer():
        peer, _ = server.accept()
        peer.sendall(peer.recv(99) + b"!")
        peer.close()
    thread = threading.Thread(target=answer)
    thread.start()
    client.connect(server.getsockname())
    client.sendall(data.encode())
    client.recv(99)
    thread.join()
talk(socket.create_server(("127.0.0.1", 0)), socket.socket())
unix = socket.socket(socket.AF_UNIX)
unix.bind("said.sock")
unix.listen()
talk(unix, socket.socket(socket.AF_UNIX))
'
exit 3"#;

/// Traces the script in several traces of two sessions, sending to this endpoint by OTLP/HTTP.
///
/// # Panics
/// When it does not end as it should.
pub fn trace_twice(agentsight: &Agentsight, endpoint: &str) {
    let folder = agentsight.directory().path().to_str().expect("the tests make paths of UTF-8 alone");
    for options in [&["--segment-spans", "3", "--live-after", "1ms"][..], &[]] {
        let run = ["run", "--no-tree", "--no-self-telemetry", "--protocol", "http/protobuf", "--endpoint", endpoint];
        let program = ["--", "sh", "-c", SCRIPT, python(), folder];
        let mut command = agentsight.command(run.iter().chain(options).chain(&program));
        let _ = crate::run::run(command.current_dir(folder), LIMIT).expect_code(3);
    }
}

/// What `agentsight` with these arguments says in JSON.
///
/// # Panics
/// When it says something else, or nothing.
#[track_caller]
pub fn answer(agentsight: &Agentsight, arguments: &[&str]) -> Value {
    let finished = agentsight.run(arguments.iter().chain(&["--format", "json"])).expect_code(0);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

/// How many spans there are in each trace of these.
///
/// # Panics
/// When one has no trace.
#[must_use]
pub fn traces(spans: &[Value]) -> BTreeMap<String, usize> {
    spans.iter().fold(BTreeMap::new(), |mut traces, span| {
        *traces.entry(text(span, "trace_id")).or_default() += 1;
        traces
    })
}

/// The questions: each filter in each of its forms, each order, causes and effects of each kind of span, each trace and session.
///
/// # Panics
/// When the spans are not those of the script.
#[must_use]
pub fn questions(spans: &[Value]) -> Vec<Vec<String>> {
    let of = |what: &str| spans.iter().find(|span| span["object"] == what).unwrap_or_else(|| panic!("no {what}"));
    let (connection, file, program) = (of("tcp"), of("file"), of("process"));
    let session = text(&spans[0], "session_id");
    let pid = program["pid"].to_string();
    let port = connection["port"].to_string();
    let (trace, start) = (text(&spans[0], "trace_id"), text(&spans[spans.len() / 2], "start"));
    let path = text(file, "path");
    let of_a_span = format!("{}:{}", text(program, "trace_id"), text(program, "span_id"));
    let mut questions: Vec<Vec<String>> = [
        &[][..],
        &["--since", "1h", "--limit", "3", "--sort", "-start"],
        &["--until", "1h"],
        &["--from", &start],
        &["--to", &start],
        &["--pid", &pid],
        &["--pid", &pid, "--pid", "1"],
        &["--subtree", &pid],
        &["--subtree", &pid, "--session", &session],
        &["--subtree", &of_a_span],
        &["--session", &session],
        &["--trace", &trace],
        &["--status", "error"],
        &["--status", "ok"],
        &["--exe", "wc"],
        &["--exe", "w*"],
        &["--exe", "wc", "--exe", "cat"],
        &["--exe", "cat", "--action", "write"],
        &["--path", &path],
        &["--path", "/usr/bin/*"],
        &["--path", "a.txt"],
        &["--path", "**/*.{txt,sock}"],
        &["--path", "/etc/host[s]", "--path", "e.txt"],
        &["--path", "b \"c\" \\\\d.txt"],
        &["--path", "/no\nsuch\" || true || \"\\"],
        &["--host", "127.0.0.1"],
        &["--host", "127.*"],
        &["--host", &format!("127.0.0.1:{port}")],
        &["--host", "nowhere.example\" } || "],
        &["--port", &port],
        &["--port", &port, "--port", "9"],
        &["--action", "network", "--status", "ok", "--exe", "python3*"],
        &["--action", "read", "--action", "write"],
        &["--object", "pipe", "--object", "unix"],
        &["--attribute", "service.name=nobody"],
    ]
    .iter()
    .map(|filter| ["query"].iter().chain(*filter).map(|word| (*word).to_owned()).collect())
    .collect();
    let mut ask = |words: &[&str]| questions.push(words.iter().map(|word| (*word).to_owned()).collect());
    for action in [
        "network", "file", "process", "dns", "ipc", "exec", "exit", "continue", "read", "write", "connect", "accept",
        "resolve", "close",
    ] {
        ask(&["query", "--action", action]);
    }
    for object in ["process", "file", "pipe", "unix", "tcp", "udp", "ip", "tty", "dns"] {
        ask(&["query", "--object", object]);
    }
    for key in ["start", "end", "duration", "bytes", "-start", "-end", "-duration", "-bytes"] {
        ask(&["query", "--sort", key]);
    }
    for attribute in attributes(spans) {
        ask(&["query", "--attribute", &attribute]);
    }
    for trace in traces(spans).keys() {
        ask(&["show", trace]);
    }
    ask(&["show", &session]);
    // One span for each that is named alike, of the same program.
    let mut seen = BTreeSet::new();
    let kind = |span: &&Value| (text(span, "name"), span["executable"].to_string());
    let of_each_kind: Vec<&Value> = spans.iter().filter(|span| seen.insert(kind(span))).collect();
    for way in ["why", "impact"] {
        ask(&[way, "--exe", "false", "--last"]);
        ask(&[way, "--action", "connect", "--port", &port, "--last", "--confidence", "0.9"]);
        for span in &of_each_kind {
            ask(&[way, &format!("{}:{}", text(span, "trace_id"), text(span, "span_id"))]);
        }
        ask(&[way, &of_a_span, "--depth", "1"]);
    }
    questions
}

/// Asks two places, named by the flags that choose them, and compares.
///
/// # Panics
/// When they answer one question differently.
#[track_caller]
pub fn assert_answered_alike(agentsight: &Agentsight, places: [&[&str]; 2], questions: &[Vec<String>]) {
    let mut found = 0;
    for question in questions {
        let question: Vec<&str> = question.iter().map(String::as_str).collect();
        let [ours, theirs] = places.map(|place| answer(agentsight, &[&question[..], place].concat()));
        found += usize::from(ours["spans"].as_array().is_some_and(|spans| !spans.is_empty()));
        let (ours, theirs) = (sorted(ours), sorted(theirs));
        assert!(ours == theirs, "{question:?}: {places:?} say\n{}", difference(&ours, &theirs, ""));
    }
    assert!(found * 2 > questions.len(), "only {found} of {} questions found anything", questions.len());
}

/// One `NAME=VALUE` for each attribute with a plain value, of spans and of their resource.
fn attributes(spans: &[Value]) -> BTreeSet<String> {
    let mut seen = BTreeMap::new();
    for (name, value) in spans
        .iter()
        .flat_map(|span| [&span["attributes"], &span["resource"]])
        .flat_map(|all| all.as_object().into_iter().flatten())
    {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => continue,
        };
        seen.entry(name).or_insert(value);
    }
    seen.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Edges that are as sure and as old as each other come in any order; so do a trace's spans.
fn sorted(mut answer: Value) -> Value {
    let by_text = |list: &mut Vec<Value>| list.sort_by_key(Value::to_string);
    if let Some(list) = answer.as_array_mut() {
        by_text(list);
    }
    for list in ["edges", "gaps"] {
        if let Some(list) = answer.get_mut(list).and_then(Value::as_array_mut) {
            by_text(list);
        }
    }
    answer
}

fn text(span: &Value, name: &str) -> String {
    span[name].as_str().unwrap_or_else(|| panic!("a span without {name}: {span}")).to_owned()
}
