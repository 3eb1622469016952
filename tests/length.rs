//! Runs of any length: a session goes on over many traces, and what lives long is seen while it lives. Every span is
//! looked at where a user sees it, in a real Jaeger.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::directory::Directory;
use agentsight_tests::jaeger::Jaeger;
use agentsight_tests::programs;
use agentsight_tests::run::Started;
use agentsight_tests::trace::{Span, Trace};

const WORKERS: usize = 13;
/// With the workers, their children and every third child's own 10,414 processes and the storm itself.
const CHILDREN: usize = 600;
const PROCESSES: usize = 1 + WORKERS + WORKERS * CHILDREN + WORKERS * CHILDREN / 3;
/// As the options have them by default.
const SPANS_IN_A_TRACE: usize = 8_000;

/// What is known of a process: its id, its parent's, its exit code, and whether it exec'd.
type Process = (i64, i64, i64, bool);

#[test]
fn a_storm_of_ten_thousand_processes_is_whole_over_several_traces() {
    let jaeger = Jaeger::start();
    let (agentsight, place) = (Agentsight::as_root(), Directory::new());
    let (storm, log) = (programs::storm(&place), place.join("log"));
    let [workers, children] = [WORKERS, CHILDREN].map(|count| count.to_string());
    let endpoint = jaeger.http_endpoint();
    let begun = Instant::now();
    let traced = agentsight.record(
        &["--endpoint", &endpoint, "--no-self-telemetry", "--linger", "60s"],
        &[],
        &[path_text(&storm), path_text(&log), &workers, &children],
    );
    let _ = traced.finished.expect_code(7);
    assert!(begun.elapsed() < Duration::from_secs(60), "the storm took {:?}", begun.elapsed());

    let expected = logged(&fs::read_to_string(&log).expect("the storm writes a log"));
    assert_eq!(expected.values().sum::<usize>(), PROCESSES);
    let in_jaeger = all_of(&jaeger, &traced.trace);
    assert_eq!(seen(&in_jaeger), expected);
    assert!(in_jaeger.ids().len() > 3, "{} traces", in_jaeger.ids().len());
}

#[test]
fn a_session_of_tiny_traces_is_the_same_tree_in_jaeger() {
    let jaeger = Jaeger::start();
    let (agentsight, place) = (Agentsight::as_root(), Directory::new());
    let (storm, log) = (programs::storm(&place), place.join("log"));
    let endpoint = jaeger.http_endpoint();
    let options = [
        "--endpoint",
        &endpoint,
        "--no-self-telemetry",
        "--linger",
        "60s",
        "--segment-spans",
        "7",
        "--live-after",
        "1ms",
    ];
    let traced = agentsight.record(&options, &[], &[path_text(&storm), path_text(&log), "2", "43"]);
    let _ = traced.finished.expect_code(7);
    let expected = logged(&fs::read_to_string(&log).expect("the storm writes a log"));
    let in_jaeger = all_of(&jaeger, &traced.trace);
    assert_eq!(seen(&in_jaeger), expected);
    assert!(in_jaeger.ids().len() > 20, "{} traces", in_jaeger.ids().len());
    assert!(in_jaeger.ids().iter().all(|id| in_jaeger.of_id(id).spans.len() <= 7));
}

#[test]
fn what_outlives_live_after_is_in_jaeger_while_it_runs_and_its_end_follows() {
    let jaeger = Jaeger::start();
    let agentsight = Agentsight::as_root();
    let endpoint = jaeger.http_endpoint();
    let (name, go) = (agentsight.directory().join("name"), agentsight.directory().join("go"));
    let [name_text, go_text] = [&name, &go].map(|path| path_text(path));
    let script = format!(
        "echo $TRACEPARENT > {name_text}.new; mv {name_text}.new {name_text}
         until [ -e {go_text} ]; do sleep 0.05; done; (exit 4); exit 3"
    );
    let options = ["run", "--no-tree", "--no-self-telemetry", "--live-after", "200ms", "--endpoint", &endpoint];
    let stub = Started::new(&mut agentsight.command(options.iter().chain(&["--", "sh", "-c", &script])));
    let root = wait_for("the command's name", Duration::from_secs(30), || fs::read_to_string(&name).ok());
    let [_, trace_id, root_id, _] = root.trim().split('-').collect::<Vec<_>>()[..] else { panic!("{root}") };

    let promoted = wait_for("the span of a running command", Duration::from_secs(20), || {
        let trace = jaeger.trace_now(trace_id)?;
        trace.span(root_id).cloned()
    });
    assert!(is_set(&promoted, "agentsight.span.promoted") && promoted.status_code == 0, "{promoted:?}");
    assert_eq!(promoted.int("process.exit.code"), None);

    fs::write(&go, "").expect("the test's directory is writable");
    let _ = stub.finish(Duration::from_secs(60)).expect_code(3);
    let whole = wait_for("the end of the command", Duration::from_secs(20), || {
        jaeger.trace_now(trace_id).filter(|trace| trace.spans.iter().any(|span| span.name == "exit"))
    });
    whole.assert_whole();
    assert_eq!(whole.span(root_id), Some(&promoted), "what was sent stays as it is");
    let exit = whole.only("exit");
    assert_eq!(exit.parent.as_deref(), Some(root_id));
    assert_eq!((exit.int("process.exit.code"), exit.text("error.type"), exit.status_code), (Some(3), "3", 2));
    assert!(exit.start_nanos == promoted.start_nanos && exit.end_nanos > promoted.end_nanos);
    assert!(whole.spans.iter().any(|span| span.int("process.exit.code") == Some(4)), "{whole}");
}

/// Everything of a session, as Jaeger has it: the same as was sent.
#[track_caller]
fn all_of(jaeger: &Jaeger, sent: &Trace) -> Trace {
    let mut all = Trace::default();
    for id in sent.ids() {
        let expected = sent.of_id(id).sorted();
        assert!(expected.spans.len() <= SPANS_IN_A_TRACE);
        let seen = jaeger.trace(id, expected.spans.len()).sorted();
        let differs = seen.spans.iter().zip(&expected.spans).find(|(seen, sent)| seen != sent);
        assert!(
            differs.is_none() && seen.spans.len() == expected.spans.len(),
            "Jaeger has, and was sent: {differs:#?}"
        );
        all.spans.extend(seen.spans);
    }
    all
}

/// How often each process is there, by the storm's own account.
fn logged(log: &str) -> BTreeMap<Process, usize> {
    let mut processes = BTreeMap::new();
    for line in log.lines() {
        let [id, parent, code, did] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let number = |text: &str| text.parse().expect("the storm logs numbers");
        *processes.entry((number(id), number(parent), number(code), did == "exec")).or_default() += 1;
    }
    processes
}

/// How often each process is there, by its spans.
#[track_caller]
fn seen(session: &Trace) -> BTreeMap<Process, usize> {
    let lost = |span: &&Span| span.attributes.keys().any(|name| name.starts_with("agentsight.loss."));
    assert_eq!(session.spans.iter().find(lost), None, "events were lost");
    let joined = session.joined();
    joined.assert_whole();
    assert_data_is_under_its_image(&joined);
    let joined = joined.processes();
    let by_id: BTreeMap<&str, &Span> = joined.spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let is_exit = |span: &&Span| span.text("agentsight.action") == "exit";
    let exits: BTreeMap<&str, &Span> =
        joined.spans.iter().filter(is_exit).filter_map(|it| Some((it.parent.as_deref()?, it))).collect();
    let mut processes = BTreeMap::new();
    for span in joined.spans.iter().filter(|span| !is_exit(span)) {
        let last = exits.get(span.id.as_str()).copied().unwrap_or(span);
        let replaced = last.int("process.exit.code").is_none();
        let id = span.int("process.pid").expect("every image has a process id");
        if replaced {
            // It was promoted between its fork and its exec: then the exec'd image is its child.
            let next = joined
                .spans
                .iter()
                .find(|next| next.parent.as_deref() == Some(&span.id) && next.int("process.pid") == Some(id));
            assert!(next.is_some(), "nothing tells how it ended: {span:?}");
            continue;
        }
        let mut parent = span.parent.as_deref().map(|parent| by_id[parent]);
        while let Some(same) = parent.filter(|parent| parent.int("process.pid") == Some(id)) {
            parent = same.parent.as_deref().map(|parent| by_id[parent]);
        }
        let parent = parent.map_or(span.int("process.parent_pid"), |parent| parent.int("process.pid"));
        let code = last.int("process.exit.code").expect("it was not replaced");
        let exec = !is_set(span, "agentsight.process.fork");
        *processes.entry((id, parent.expect("every process has a parent"), code, exec)).or_default() += 1;
    }
    processes
}

/// What an image did hangs under that image, or under another thing that it did.
#[track_caller]
fn assert_data_is_under_its_image(joined: &Trace) {
    let by_id: BTreeMap<&str, &Span> = joined.spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let owner = |span: &Span| (span.int("process.pid"), span.text("agentsight.process.start").to_owned());
    for span in joined.spans.iter().filter(|span| !span.is_process()) {
        let parent = span.parent.as_deref().map(|parent| by_id[parent]);
        assert!(parent.is_some_and(|parent| owner(parent) == owner(span)), "{span:?} is under {parent:?}");
    }
}

fn is_set(span: &Span, name: &str) -> bool {
    span.attributes.get(name) == Some(&agentsight_tests::trace::Value::Bool(true))
}
