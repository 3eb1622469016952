//! Questions about the reference case, and the store and memory asked the same.

use agentsight_ebpf::WallNanos;

use super::action::Kind;
use super::filter::{Filter, Host, Status};
use super::fixture::{BEGIN, MILLI, SESSION, With, found, id, memory, span, stale_id};
use super::glob::Glob;
use super::slice::{Gap, Reach, Slice, Way, slice};
use super::{Cursor, Membership, Question, Source, StoreSource, Subtree, ask};
use crate::session::{CallerContext, Session, SessionOptions};
use crate::store::scratch::Scratch;
use crate::store::{Direction, Row, SortKey, Store};

fn names(source: &mut dyn Source, question: &Question) -> Vec<String> {
    ask(source, question).unwrap().spans.into_iter().map(|found| found.span.name).collect()
}

fn filter(filter: Filter) -> Question {
    Question { filter, ..Question::default() }
}

fn store(scratch: &Scratch) -> Store {
    let mut store = Store::open(&scratch.path().join("store")).unwrap();
    let session = Session {
        id: SESSION,
        trace_id: id(1).trace_id,
        id_key: [9; 16],
        boot_id: "boot".to_owned(),
        host: std::collections::BTreeMap::new(),
        caller: CallerContext::default(),
        options: SessionOptions::default(),
    };
    let _lock = store.begin_session(&session, None, WallNanos(BEGIN)).unwrap();
    let rows: Vec<Row> =
        stale_id().into_iter().map(found).map(|found| Row::of_span(found.span, &found.resource)).collect();
    store.append_rows(SESSION, rows).unwrap();
    store
}

/// Every filter that a person would type, and some that find nothing.
fn questions() -> Vec<Question> {
    let kind = |name| Filter { kinds: vec![Kind::parse(name).unwrap()], ..Filter::default() };
    let path = |text| Filter { paths: vec![Glob::path(text).unwrap()], ..Filter::default() };
    let host = |name: Option<&str>, port| Filter {
        hosts: vec![Host { name: name.map(|name| Glob::name(name).unwrap()), port }],
        ..Filter::default()
    };
    let at = |milli: u64| Some(WallNanos(BEGIN + milli * MILLI));
    let with =
        |name: &str, value: &str| Filter { attributes: vec![(name.to_owned(), value.to_owned())], ..Filter::default() };
    let filters = [
        Filter::default(),
        kind("network"),
        kind("file"),
        kind("process"),
        kind("dns"),
        kind("ipc"),
        kind("write"),
        Filter { kinds: [kind("network").kinds, kind("write").kinds].concat(), ..Filter::default() },
        Filter { objects: vec!["tcp"], ..kind("write") },
        Filter { pids: vec![101], ..kind("network") },
        Filter { pids: vec![101, 102], ..Filter::default() },
        Filter { pids: vec![-1], ..Filter::default() },
        Filter { executables: vec![Glob::name("python3").unwrap()], ..kind("write") },
        Filter { executables: vec![Glob::name("py*").unwrap()], ..Filter::default() },
        path("/srv/config.json"),
        path("/srv/**"),
        path("*.json"),
        path("**"),
        path("/nowhere/**"),
        Filter { from: at(41), until: at(60), ..Filter::default() },
        Filter { from: at(40), ..path("/srv/**") },
        host(Some("api.example.com"), None),
        host(Some("10.0.0.7"), Some(443)),
        host(Some("*.example.com"), None),
        host(None, Some(443)),
        host(Some("api.example.com"), Some(80)),
        Filter { status: Some(Status::Error), ..Filter::default() },
        Filter { status: Some(Status::Ok), ..kind("process") },
        Filter { session: Some(SESSION), ..kind("dns") },
        Filter { session: Some(crate::session::SessionId([1; 16])), ..Filter::default() },
        Filter { trace: Some(id(1).trace_id), ..kind("dns") },
        with("agentsight.io.bytes", "47"),
        with("service.name", "agent"),
        with("service.name", "' OR 1=1 --"),
        path("/**"),
        path("/s*/*.json"),
        path("/srv/conf*"),
        path("/srv/x*"),
        path("/usr/b**"),
        path("/usr/bin/python3"),
        path("/usr/bin/python3?"),
    ];
    let mut questions: Vec<Question> = filters.into_iter().map(filter).collect();
    for sort in [SortKey::Start, SortKey::End, SortKey::Duration, SortKey::Bytes] {
        for direction in [Direction::Ascending, Direction::Descending] {
            questions.push(Question { sort, direction, limit: 5, ..Question::default() });
        }
    }
    questions.push(Question { subtree: Some(Subtree::Process(102)), ..Question::default() });
    questions.push(Question { subtree: Some(Subtree::Span(id(2))), ..filter(kind("write")) });
    questions
}

#[test]
fn the_store_and_memory_give_the_same_answers_page_by_page() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    let mut memory = memory(stale_id());
    let mut answered = 0;
    for mut question in questions() {
        loop {
            let ours = ask(&mut StoreSource::new(&store), &question).unwrap();
            let theirs = ask(&mut memory, &question).unwrap();
            assert_eq!(ours, theirs, "{question:?}");
            answered += ours.spans.len();
            let Some(next) = ours.next else { break };
            question.cursor = Some(next.to_string().parse::<Cursor>().unwrap());
        }
    }
    assert!(answered > 100, "{answered}");
}

#[test]
fn filters_find_what_they_say() {
    let mut memory = memory(stale_id());
    let mut ask = |text: &str| names(&mut memory, &questions()[text.parse::<usize>().unwrap()]);
    assert_eq!(ask("9"), ["connect api.example.com:443", "write api.example.com:443", "read api.example.com:443"]);
    assert_eq!(ask("12"), ["write api.example.com:443", "write report.txt"]);
    assert_eq!(ask("14"), ["write config.json", "read config.json"]);
    assert_eq!(ask("19"), ["resolve api.example.com", "connect api.example.com:443", "write api.example.com:443"]);
    assert_eq!(ask("26"), ["false"]);
    assert!(ask("33").is_empty());
}

#[test]
fn a_subtree_is_a_process_and_what_its_descendants_did() {
    let mut memory = memory(stale_id());
    let question = Question { subtree: Some(Subtree::Process(102)), ..Question::default() };
    assert_eq!(names(&mut memory, &question), ["refresh", "write config.json", "sleep"]);
}

#[test]
fn a_span_that_comes_is_of_a_subtree_exactly_when_a_question_finds_it_there() {
    let mut all = memory(stale_id());
    let subtrees = (100..=105).map(Subtree::Process).chain((1..=13).map(|number| Subtree::Span(id(number))));
    for subtree in subtrees {
        let question = Question { subtree: Some(subtree), ..Question::default() };
        let wanted = names(&mut all, &question);
        let mut membership = Membership::new(subtree, &question.filter);
        let mut taken = all.all().to_vec();
        taken.sort_by_key(|found| (found.span.start_time_unix_nano, found.span.span_id.clone()));
        taken.retain(|found| membership.takes(&mut all, found).unwrap());
        let taken: Vec<String> = taken.into_iter().map(|found| found.span.name).collect();
        assert_eq!(taken, wanted, "{subtree:?}");
    }
}

/// One line a span, in the order in which they were reached.
fn told(slice: &Slice) -> Vec<String> {
    let line = |node: &super::slice::Node| match node.via.map(|via| &slice.edges[via]) {
        None => node.found.span.name.clone(),
        Some(edge) => format!("{} {} {} ({} flow)", edge.kind, edge.confidence, node.found.span.name, node.flows),
    };
    slice.nodes.iter().map(line).collect()
}

#[test]
fn why_leads_from_the_request_to_the_write_by_the_other_process() {
    let mut memory = memory(stale_id());
    let why = slice(&mut memory, &[id(6)], Way::Why, Reach::default()).unwrap();
    assert_eq!(
        told(&why),
        [
            "connect api.example.com:443",
            "part 1 write api.example.com:443 (0 flow)",
            "part 1 read api.example.com:443 (0 flow)",
            "parent 1 python3 agent.py (0 flow)",
            "dns 0.9 resolve api.example.com (0 flow)",
            "parent 1 sh (0 flow)",
            "flow 0.5 read config.json (1 flow)",
            "file 0.95 write config.json (1 flow)",
            "parent 1 refresh (1 flow)",
        ],
        "what the refresher waited for later is not why it wrote"
    );
    let file = why.edges.iter().find(|edge| edge.kind == "file").unwrap();
    assert_eq!((file.bytes, file.lag_nanos), (Some(47), 10_000_000));
    assert!(why.gaps.is_empty() && !why.cut, "{:?}", why.gaps);
}

#[test]
fn impact_leads_from_the_write_to_the_request_and_the_report() {
    let mut memory = memory(stale_id());
    let impact = slice(&mut memory, &[id(4)], Way::Impact, Reach::default()).unwrap();
    assert_eq!(
        told(&impact),
        [
            "write config.json",
            "file 0.95 read config.json (0 flow)",
            "flow 0.5 write api.example.com:443 (1 flow)",
            "flow 0.5 write report.txt (1 flow)",
        ]
    );
}

#[test]
fn the_store_and_memory_give_the_same_slices() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    let mut memory = memory(stale_id());
    for number in 1..=12 {
        for way in [Way::Why, Way::Impact] {
            let theirs = slice(&mut memory, &[id(number)], way, Reach::default()).unwrap();
            let ours = slice(&mut StoreSource::new(&store), &[id(number)], way, Reach::default()).unwrap();
            assert_eq!(told(&ours), told(&theirs));
            assert_eq!((&ours.edges, &ours.gaps), (&theirs.edges, &theirs.gaps));
        }
    }
}

#[test]
fn an_exact_way_is_shown_before_one_that_only_may_be() {
    // 4 leads to 1 by flow at once, and exactly over two others.
    let mut memory = memory([
        span(1, 0, "effect", (50, 60)).because("flow", 4, 0.95).because("pipe", 2, 1.0),
        span(2, 0, "two", (30, 40)).because("file", 3, 1.0),
        span(3, 0, "three", (20, 25)).because("file", 4, 0.8),
        span(4, 0, "cause", (1, 2)),
    ]);
    let why = slice(&mut memory, &[id(1)], Way::Why, Reach::default()).unwrap();
    assert_eq!(told(&why)[3], "file 0.8 cause (0 flow)");
    assert_eq!(why.edges.len(), 4, "the flow is told too");
    let sure = Reach { confidence: 0.9, ..Reach::default() };
    let why = slice(&mut memory, &[id(1)], Way::Why, sure).unwrap();
    assert_eq!(told(&why)[3], "flow 0.95 cause (1 flow)");
}

#[test]
fn gaps_are_said() {
    let mut memory = memory([
        span(1, 0, "root", (0, 900))
            .image(1, "sh")
            .counts("agentsight.loss.fork", 3)
            .admits("agentsight.blind.io_uring"),
        span(2, 1, "read x", (10, 20))
            .burst(1, "sh", "read", "/x")
            .admits("agentsight.burst.coalesced")
            .admits("agentsight.object.found")
            .because("file", 77, 1.0),
        opentelemetry_proto::tonic::trace::v1::Span {
            dropped_links_count: 4,
            ..span(3, 1, "write y", (30, 31)).because("flow", 2, 0.5)
        },
    ]);
    let why = slice(&mut memory, &[id(3)], Way::Why, Reach::default()).unwrap();
    let [dropped, blind, coalesced, older, missing, lost] = &why.gaps[..] else { panic!("{:?}", why.gaps) };
    assert_eq!(dropped, &Gap::DroppedLinks { id: id(3), count: 4 });
    assert_eq!(blind, &Gap::Blind { id: id(1), by: "io_uring" });
    assert_eq!((coalesced, older), (&Gap::Coalesced(id(2)), &Gap::Found(id(2))));
    assert_eq!(missing, &Gap::Missing { id: id(77), kind: "file".to_owned() });
    assert!(matches!(lost, Gap::Lost(loss) if loss.counts["fork"] == 3), "{lost:?}");
}

#[test]
fn a_reach_bounds_a_slice_and_says_so() {
    let mut memory = memory(stale_id());
    let near = slice(&mut memory, &[id(6)], Way::Why, Reach { depth: 1, ..Reach::default() }).unwrap();
    assert!(near.cut && near.nodes.iter().all(|node| node.depth <= 1));
    let few = slice(&mut memory, &[id(6)], Way::Why, Reach { spans: 3, ..Reach::default() }).unwrap();
    assert!(few.cut && few.nodes.len() == 3);
}

#[test]
fn a_circle_of_links_ends() {
    let mut memory = memory([
        span(1, 2, "one", (0, 1)).because("file", 3, 1.0),
        span(2, 1, "two", (0, 1)),
        span(3, 3, "three", (0, 1)).because("file", 3, 1.0).because("flow", 1, 0.5),
    ]);
    for way in [Way::Why, Way::Impact] {
        assert_eq!(slice(&mut memory, &[id(1)], way, Reach::default()).unwrap().nodes.len(), 3);
    }
}
