//! The same questions to Tempo: to a real one where the environment names one, to what one said before everywhere else; and each
//! text of TraceQL that a question can become, by Grafana's grammar.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::asked::{answer, assert_answered_alike, questions, trace_twice};
use agentsight_tests::backend::folder;
use agentsight_tests::conversation::{self, Knows, StandIn};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::http::decoded;
use agentsight_tests::tempo::Tempo;
use agentsight_tests::traceql;
use serde_json::Value;

/// With `RECORD_TEMPO` set, what is said is written down for the test below.
#[test]
fn every_question_is_answered_the_same_from_the_store_and_from_a_tempo_where_one_is_named() {
    let Some(tempo) = Tempo::named() else { return };
    let agentsight = Agentsight::as_root();
    trace_twice(&agentsight, &tempo.endpoint());
    let all = answer(&agentsight, &["query"]);
    let spans = all["spans"].as_array().expect("an answer has spans");
    for session in answer(&agentsight, &["sessions"]).as_array().expect("a list of sessions") {
        let id = session["id"].as_str().expect("a session has an id");
        tempo.wait_until_found(id, session["spans"].as_u64().expect("and so many spans"));
    }
    let between = StandIn::start(Knows::Backend(tempo.port()));
    let backend = format!("tempo=http://127.0.0.1:{}", between.port());
    assert_answered_alike(&agentsight, [&[], &["--backend", &backend]], &questions(spans));
    if std::env::var_os("RECORD_TEMPO").is_some() {
        let log = agentsight.directory().join("store/agentsight.db-wal");
        wait_for("the store to be in one file", Duration::from_secs(30), || (!log.exists()).then_some(()));
        let store = fs::read(agentsight.directory().join("store/agentsight.db")).expect("root may read it");
        fs::write(recorded("store.db.zst"), zstd::encode_all(&store[..], 19).expect("memory can be packed"))
            .expect("the folder is ours");
        conversation::write(&recorded("conversation.json.zst"), &between.exchanges());
    }
}

#[test]
fn every_question_is_answered_the_same_from_a_store_and_from_what_a_tempo_said_of_the_same_spans() {
    let agentsight = Agentsight::without_rights();
    let copy = agentsight.directory().join("copy.db");
    let packed = fs::read(recorded("store.db.zst")).expect("it is in the repository");
    fs::write(&copy, zstd::decode_all(&packed[..]).expect("it was packed by zstd")).expect("the directory is ours");
    let tempo = StandIn::start(Knows::Exchanges(conversation::read(&recorded("conversation.json.zst"))));
    let backend = format!("tempo=http://127.0.0.1:{}", tempo.port());
    let of_store = ["--store", path_text(&copy)];
    let all = answer(&agentsight, &[&["query"], &of_store[..]].concat());
    let spans = all["spans"].as_array().expect("an answer has spans");
    assert_answered_alike(&agentsight, [&of_store, &["--backend", &backend]], &questions(spans));
}

#[test]
fn whatever_is_asked_becomes_traceql_of_grafanas_grammar() {
    let agentsight = Agentsight::without_rights();
    let tempo = StandIn::start(Knows::Nothing);
    let backend = format!("tempo=http://127.0.0.1:{}", tempo.port());
    let id = "5f3c1a90b4e24c6c8a31d07be6f2a954";
    // What ends strings, patterns and questions in one language or another.
    let odd =
        ["plain", "a\"b", r"a\b", "a\nb", "a`b", "x\" } || \"", "é\u{202e}", "\u{1}\u{7f}", "(?i)a+[^]$", "=~ //"];
    let mut filters: Vec<Vec<String>> = vec![Vec::new()];
    let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
    for text in odd {
        let escaped: String =
            text.chars().flat_map(|c| (!c.is_alphanumeric()).then_some('\\').into_iter().chain([c])).collect();
        for flag in ["--exe", "--path", "--host"] {
            for value in [text.to_owned(), escaped.clone(), format!("/{text}/**")] {
                filters.push(flags(&[flag, &value]));
            }
        }
    }
    for action in ["network", "file", "process", "dns", "ipc", "exec", "write"] {
        filters.push(flags(&["--action", action]));
        filters.push(flags(&["--action", action, "--action", "read", "--object", "tcp", "--object", "file"]));
    }
    for given in [
        &["--session", id][..],
        &["--pid", "0"],
        &["--pid", "-1"],
        &["--pid", "9223372036854775807"],
        &["--port", "65535"],
        &["--status", "error"],
        &["--status", "ok"],
        &["--pid", "7", "--session", id, "--exe", "a", "--path", "/a", "--host", "b:443", "--status", "error"],
    ] {
        filters.push(flags(given));
    }
    for filter in &filters {
        let filter: Vec<&str> = filter.iter().map(String::as_str).collect();
        let finished = agentsight.run([&["query", "--backend", &backend], &filter[..]].concat());
        // A pattern may be none; then nobody is asked.
        assert!([0, 2].contains(&finished.code()), "{filter:?}: {}", finished.stderr);
    }
    let asked: Vec<String> = tempo.exchanges().keys().filter_map(|asked| question_of(asked)).collect();
    assert!(asked.len() > 40, "only {} different questions: {asked:#?}", asked.len());
    assert_eq!(traceql::mistakes(asked.iter().map(String::as_str)), None);
}

#[test]
fn a_tempo_that_says_no_or_nonsense_is_told_as_that() {
    let agentsight = Agentsight::without_rights();
    let asked_for = |path: &str| format!("{path}?q=%7B++%7D&limit=1500&spss=1");
    let search = asked_for("/api/search");
    let found = br#"{"traces":[{"traceID":"1a"}]}"#;
    let trace = "/api/v2/traces/0000000000000000000000000000001a?".to_owned();
    let said = |status: &str, body: &[u8]| [format!("HTTP/1.0 {status}\r\n\r\n").as_bytes(), body].concat();
    for (exchanges, told) in [
        (
            vec![(&search, said("400 Bad Request", b"range exceeds\x1b[31m 168h"))],
            "answers 400 Bad Request: range exceeds[31m 168h",
        ),
        (vec![(&search, said("200 OK", b"<html>"))], "is it the URL"),
        (vec![(&search, said("200 OK", found)), (&trace, said("200 OK", b"\xff\xff\xff"))], "is it the URL"),
        // status PARTIAL, message "cut".
        (
            vec![(&search, said("200 OK", found)), (&trace, said("200 OK", b"\x18\x01\x22\x03cut"))],
            "only a part of trace",
        ),
    ] {
        let exchanges = exchanges.into_iter().map(|(asked, said)| (asked.clone(), said)).collect();
        let tempo = StandIn::start(Knows::Exchanges(exchanges));
        let backend = format!("tempo=http://127.0.0.1:{}", tempo.port());
        let refused = agentsight.run(["query", "--backend", &backend]).expect_code(2);
        assert!(refused.stderr.contains(told), "{}\n{:?}", refused.stderr, tempo.exchanges());
    }
}

fn recorded(name: &str) -> PathBuf {
    folder("tempo").join(name)
}

/// The TraceQL in a request for a search.
fn question_of(asked: &str) -> Option<String> {
    let pair = asked.split(['?', '&']).find_map(|pair| pair.strip_prefix("q="))?;
    Some(decoded(pair))
}

/// So that an unused answer is no answer: the conversation is of the questions that are asked now.
#[test]
fn the_conversation_was_with_tempo_and_about_these_questions() {
    let exchanges = conversation::read(&recorded("conversation.json.zst"));
    let searches = exchanges.keys().filter(|asked| asked.starts_with("/api/search?")).count();
    let traces = exchanges.keys().filter(|asked| asked.starts_with("/api/v2/traces/")).count();
    assert!(searches > 20 && traces > 2, "{searches} searches, {traces} traces");
    for (asked, said) in exchanges {
        assert!(said.starts_with(b"HTTP/1.0 200") || said.starts_with(b"HTTP/1.1 200"), "{asked}");
        if asked.starts_with("/api/search?") {
            let at = said.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head") + 4;
            let body: Value = serde_json::from_slice(&said[at..]).expect("a search is answered in JSON");
            assert!(body["metrics"].is_object(), "{asked}: {body}");
        }
    }
}
