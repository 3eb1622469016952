//! The same questions to a real Jaeger: every one is answered as the store answers it.

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::jaeger::Jaeger;
use serde_json::Value;

const SCRIPT: &str = "expr 1 + 2; cat /etc/hosts | wc -l; (exec /bin/false); exit 3";

#[test]
fn every_question_is_answered_the_same_from_the_store_and_from_jaeger() {
    let jaeger = Jaeger::start();
    let agentsight = Agentsight::as_root();
    let endpoint = jaeger.http_endpoint();
    // Several traces: what is asked leads from one to the next.
    for options in [&["--segment-spans", "3", "--live-after", "1ms"][..], &[]] {
        let run = ["run", "--no-tree", "--no-self-telemetry", "--endpoint", &endpoint];
        let program = ["--", "sh", "-c", SCRIPT];
        let _ = agentsight.run(run.iter().chain(options).chain(&program)).expect_code(3);
    }
    let from_store = |arguments: &[&str]| answer(&agentsight, arguments);
    let all = from_store(&["query"]);
    let spans = all["spans"].as_array().expect("an answer has spans");
    let traces: std::collections::BTreeMap<&str, usize> = spans.iter().fold(Default::default(), |mut traces, span| {
        *traces.entry(span["trace_id"].as_str().expect("a span has a trace")).or_default() += 1;
        traces
    });
    assert!(traces.len() > 2, "several traces: {traces:?}");
    for (trace, count) in &traces {
        let _ = jaeger.trace(trace, *count);
    }
    let backend = format!("jaeger=http://127.0.0.1:{}", jaeger.query_port());
    let session = spans[0]["session_id"].as_str().expect("a span has a session");
    let pid = spans[0]["pid"].to_string();
    let mut questions: Vec<Vec<String>> = [
        &["query"][..],
        &["query", "--action", "process", "--status", "error"],
        &["query", "--exe", "wc"],
        &["query", "--exe", "w*", "--sort", "-duration"],
        &["query", "--session", session, "--path", "/usr/bin/*"],
        &["query", "--pid", &pid],
        &["query", "--subtree", &pid],
        &["query", "--since", "1h", "--limit", "3", "--sort", "-start"],
        &["query", "--until", "1h"],
        &["query", "--action", "network"],
        &["query", "--attribute", "process.exit.code=1"],
        &["why", "--exe", "false", "--last"],
    ]
    .iter()
    .map(|question| question.iter().map(|word| (*word).to_owned()).collect())
    .collect();
    for span in spans {
        let id =
            [&span["trace_id"], &span["span_id"]].map(|id| id.as_str().expect("it has an id").to_owned()).join(":");
        questions.extend(["why", "impact"].map(|way| vec![way.to_owned(), id.clone()]));
    }
    for question in questions {
        let question: Vec<&str> = question.iter().map(String::as_str).collect();
        let ours = from_store(&question);
        let theirs = answer(&agentsight, &[&question[..], &["--backend", &backend]].concat());
        assert!(
            sorted(ours.clone()) == sorted(theirs.clone()),
            "{question:?}: the store says\n{ours:#}\nJaeger\n{theirs:#}"
        );
    }
}

fn answer(agentsight: &Agentsight, arguments: &[&str]) -> Value {
    let finished = agentsight.run(arguments.iter().chain(&["--format", "json"])).expect_code(0);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

/// Edges that are as sure and as old as each other come in any order.
fn sorted(mut answer: Value) -> Value {
    for list in ["edges", "gaps"] {
        if let Some(list) = answer[list].as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
    }
    answer
}

#[test]
fn a_backend_that_is_none_is_said_so() {
    let agentsight = Agentsight::without_rights();
    for (backend, told) in [
        ("jaeger=http://127.0.0.1:1", "does not answer"),
        ("jaeger=localhost", "jaeger=http://HOST:16686"),
        ("oracle=http://x", "no backend"),
    ] {
        let refused = agentsight.run(["query", "--backend", backend]).expect_code(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
}
