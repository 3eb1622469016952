//! TraceQL is parsed by Grafana's own grammar, and asked of a real Tempo where one is named.

use agentsight_tests::http::get;
use agentsight_tests::traceql::mistakes;

use crate::board::{questions, questions_of_pages};

#[test]
fn every_trace_question_is_of_grafanas_grammar() {
    let asked = asked();
    assert_eq!(mistakes(asked.iter().map(String::as_str)), None);
}

#[test]
fn the_check_of_the_grammar_finds_a_mistake() {
    assert!(mistakes(["{ span.a = }"]).is_some_and(|told| told.contains("{ span.a = }")));
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
