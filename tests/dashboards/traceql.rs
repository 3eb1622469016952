//! TraceQL is parsed by Grafana's own grammar, and asked of a real Tempo where one is named.

use std::io::Write;
use std::process::{Command, Stdio};

use agentsight_tests::backend::cached;
use agentsight_tests::http::get;
use agentsight_tests::requirement::need_program;

use crate::board::{questions, questions_of_pages};

#[test]
fn every_trace_question_is_of_grafanas_grammar() {
    let mut node = Command::new(need_program("node", "nodejs"));
    let mut check =
        node.arg(cached("traceql")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was found");
    let mut input = check.stdin.take().expect("it is piped");
    for text in asked() {
        writeln!(input, "{}", serde_json::Value::from(text)).expect("the check reads to the end");
    }
    drop(input);
    let output = check.wait_with_output().expect("the check ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_check_of_the_grammar_finds_a_mistake() {
    let mut node = Command::new(need_program("node", "nodejs"));
    let mut check =
        node.arg(cached("traceql")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was found");
    let mut input = check.stdin.take().expect("it is piped");
    writeln!(input, "\"{{ span.a = }}\"").expect("the check reads to the end");
    drop(input);
    let output = check.wait_with_output().expect("the check ends");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
}

/// `TEMPO_PORT` names the port of a Tempo's HTTP API on this machine.
#[test]
fn every_trace_question_is_answered_by_a_tempo_where_one_is_named() {
    let Ok(port) = std::env::var("TEMPO_PORT") else {
        eprintln!("NOT RUN: no Tempo to ask; name its HTTP port in TEMPO_PORT");
        return;
    };
    let port = port.parse().expect("TEMPO_PORT is a port");
    for text in asked() {
        let question = crate::promql::encoded(&text);
        let api = if text.contains("_over_time()") { "metrics/query_range" } else { "search" };
        let (code, body) = get(port, &format!("/api/{api}?q={question}")).expect("Tempo answers");
        assert_eq!(code, 200, "{text}: {body}");
    }
}

/// The questions of panels and pages with their variables filled in; a bare trace id is none.
fn asked() -> Vec<String> {
    let all = questions("tempo", "query").into_iter().chain(questions_of_pages()).map(|question| question.text);
    all.filter(|text| text != "$trace")
        .map(|text| text.replace("$session", "5f3c1a90b4e24c6c8a31d07be6f2a954"))
        .collect()
}
