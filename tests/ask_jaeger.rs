//! The same questions to a real Jaeger: every one is answered as the store answers it.

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::asked::{answer, assert_answered_alike, questions, trace_twice, traces};
use agentsight_tests::jaeger::Jaeger;

#[test]
fn every_question_is_answered_the_same_from_the_store_and_from_jaeger() {
    let jaeger = Jaeger::start();
    let agentsight = Agentsight::as_root();
    trace_twice(&agentsight, &jaeger.http_endpoint());
    let all = answer(&agentsight, &["query"]);
    let spans = all["spans"].as_array().expect("an answer has spans");
    let traces = traces(spans);
    // What is asked leads from one to the next.
    assert!(traces.len() > 2, "several traces: {traces:?}");
    for (trace, count) in &traces {
        let _ = jaeger.trace(trace, *count);
    }
    let backend = format!("jaeger=http://127.0.0.1:{}", jaeger.query_port());
    assert_answered_alike(&agentsight, [&[], &["--backend", &backend]], &questions(spans));
}

#[test]
fn a_backend_that_is_none_is_said_so() {
    let agentsight = Agentsight::without_rights();
    for (backend, told) in [
        ("jaeger=http://127.0.0.1:1", "does not answer"),
        ("tempo=http://127.0.0.1:1", "does not answer"),
        ("jaeger=localhost", "jaeger=http://HOST:16686"),
        ("tempo=localhost", "tempo=http://HOST:3200"),
        ("oracle=http://x", "no backend"),
    ] {
        let refused = agentsight.run(["query", "--backend", backend]).expect_code(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
}
