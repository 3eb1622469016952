//! How fast the store takes spans, and answers questions with a million of them in it.
//!
//! `cargo bench -p agentsight --bench store [SPANS]`; the machine may be busy, so time on the processor is reported beside time on the
//! clock, and beside both what SQLite alone takes for the same bytes in the same run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentsight::otlp::encode;
use agentsight::query::moment::{Clock, rfc3339};
use agentsight::query::slice::{Reach, Way, slice};
use agentsight::query::words::Words;
use agentsight::query::{StoreSource, ask};
use agentsight::session::{CallerContext, Session, SessionId, SessionOptions, SpanRef};
use agentsight::spans::model::{Attribute, Link, Resource, Signal, Span, Value};
use agentsight::store::Store;
use agentsight_ebpf::WallNanos;
use agentsight_semconv as semconv;
use jiff::tz::TimeZone;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use prost::Message;

/// Spans per transaction, as a busy collector appends them in a tenth of a second.
const BATCH: u64 = 2_000;
/// As segments have them.
const SPANS_PER_TRACE: u64 = 8_000;
const START: u64 = 1_790_000_000_000_000_000;
/// Between the starts of two spans.
const STEP_NANOS: u64 = 1_000_000;

fn main() {
    let spans: u64 = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let scratch = Scratch::new();
    let resource = Arc::new(Resource { attributes: BTreeMap::from([("service.name".to_owned(), "bench".to_owned())]) });
    let session = session();
    let mut store = Store::open_for_ingest(&scratch.0.join("store")).expect("a new store opens");
    let _lock = store.begin_session(&session, None, WallNanos(START)).expect("a session begins");
    let raw = raw_database(&scratch.0.join("raw.db"));

    let (mut ours, mut theirs, mut bytes) = (Took::default(), Took::default(), 0_usize);
    let mut first = 0;
    while first < spans {
        let numbers = first..(first + BATCH).min(spans);
        first = numbers.end;
        let signals: Vec<Signal> =
            numbers.map(|number| Signal::Span(Box::new(span(number, session.id, &resource)))).collect();
        ours.add(|| store.append(session.id, &signals).expect("the store takes spans"));
        let encoded: Vec<Vec<u8>> = signals.iter().filter_map(encoded).collect();
        bytes += encoded.iter().map(Vec::len).sum::<usize>();
        theirs.add(|| insert_raw(&raw, &encoded));
    }
    println!("{spans} spans of {} bytes in transactions of {BATCH}", bytes as u64 / spans.max(1));
    println!("ingest (encode, index, store): {}", ours.rate(spans));
    println!("SQLite alone, the same bytes:  {}", theirs.rate(spans));
    println!("ratio (processor time):        {:.2}", ours.cpu.as_secs_f64() / theirs.cpu.as_secs_f64());
    println!("store: {} bytes a span", store.size_bytes() / spans.max(1));
    let clock = Clock { now: WallNanos(START + spans * STEP_NANOS), zone: TimeZone::UTC };
    for (text, words) in questions(spans) {
        let question = words.question(&clock).expect("it means something");
        let mut found = 0;
        let time = median(|| found = ask(&mut StoreSource::new(&store), &question).expect("it answers").spans.len());
        println!("query {text:<50} {time:>10.2?}  {found} spans");
    }
    for depth in [10, 50] {
        let reach = Reach { depth, spans: 10_000, ..Reach::default() };
        for (way, text, focus) in [(Way::Why, "why", spans - 25), (Way::Impact, "impact", spans / 2 + 5)] {
            let mut found = 0;
            let focus = [reference(focus)];
            let time = median(|| {
                let slice = slice(&mut StoreSource::new(&store), &focus, way, reach).expect("it answers");
                found = slice.nodes.len();
            });
            println!("{text} at depth {depth:<42} {time:>10.2?}  {found} spans");
        }
    }
}

/// What people ask, with how it is told.
fn questions(spans: u64) -> Vec<(&'static str, Words)> {
    let one = |text: &str| vec![text.to_owned()];
    let some = |text: &str| Some(text.to_owned());
    let middle = rfc3339(WallNanos(START + spans / 2 * STEP_NANOS));
    let asked = |text, words| (text, words);
    vec![
        asked("--action network --pid N", Words { action: one("network"), pid: one("1234"), ..Words::default() }),
        asked("--action network --pid N --since 5m", {
            Words { action: one("network"), pid: one("1234"), since: some("5m"), ..Words::default() }
        }),
        asked("--action write --path GLOB --exe X --from … --limit 100", {
            let path = one("/home/me/project/src/module1*/**");
            let (action, exe, limit) = (one("write"), one("bash"), some("100"));
            Words { action, path, exe, limit, since: Some(middle), ..Words::default() }
        }),
        asked("--path '/etc/**' (nothing)", Words { path: one("/etc/**"), ..Words::default() }),
        asked("--path '*.rs' --exe cat (nothing)", Words { path: one("*.rs"), exe: one("catt"), ..Words::default() }),
        asked("--host H --limit 20, newest first", {
            Words { host: one("host7.example.com"), sort: some("-start"), limit: some("20"), ..Words::default() }
        }),
        asked("--action dns (nothing)", Words { action: one("dns"), ..Words::default() }),
        asked("--status error --limit 100", {
            Words { status: some("error"), limit: some("100"), ..Words::default() }
        }),
        asked("--exe cc1 --action connect --limit 100", {
            Words { exe: one("cc1"), action: one("connect"), limit: some("100"), ..Words::default() }
        }),
        asked("newest 100", Words { sort: some("-start"), limit: some("100"), ..Words::default() }),
    ]
}

fn median(mut action: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..15)
        .map(|_| {
            let begun = Instant::now();
            action();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// Time spent, on the clock and on the processor.
#[derive(Default)]
struct Took {
    clock: Duration,
    cpu: Duration,
}

impl Took {
    fn add<T>(&mut self, action: impl FnOnce() -> T) -> T {
        let (clock, cpu) = (Instant::now(), cpu_time());
        let result = action();
        self.clock += clock.elapsed();
        self.cpu += cpu_time().saturating_sub(cpu);
        result
    }

    fn rate(&self, spans: u64) -> String {
        let rate = |time: Duration| spans as f64 / time.as_secs_f64();
        format!("{:>9.0} spans/s on one core, {:>9.0} by the clock", rate(self.cpu), rate(self.clock))
    }
}

fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("Linux knows a thread's time");
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

fn session() -> Session {
    Session {
        id: SessionId([7; 16]),
        trace_id: trace(0),
        id_key: [9; 16],
        boot_id: "boot".to_owned(),
        host: BTreeMap::new(),
        caller: CallerContext::default(),
        options: SessionOptions::default(),
    }
}

fn raw_database(path: &std::path::Path) -> rusqlite::Connection {
    let raw = rusqlite::Connection::open(path).expect("a new database opens");
    raw.pragma_update(None, "journal_mode", "WAL").expect("SQLite has WAL");
    raw.pragma_update(None, "synchronous", "NORMAL").expect("SQLite has NORMAL");
    raw.execute("CREATE TABLE span (seq INTEGER PRIMARY KEY, encoded BLOB NOT NULL)", []).expect("a table is made");
    raw
}

fn insert_raw(raw: &rusqlite::Connection, encoded: &[Vec<u8>]) {
    raw.execute_batch("BEGIN").expect("a transaction begins");
    let mut statement = raw.prepare_cached("INSERT INTO span (encoded) VALUES (?1)").expect("it is SQL");
    for bytes in encoded {
        statement.execute([bytes]).expect("a row goes in");
    }
    raw.execute_batch("COMMIT").expect("a transaction ends");
}

fn encoded(signal: &Signal) -> Option<Vec<u8>> {
    if let Signal::Span(span) = signal { Some(encode::span(span).encode_to_vec()) } else { None }
}

/// Ids as the keyed hash gives them: no two near each other.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn trace(number: u64) -> TraceId {
    TraceId::from(u128::from(mix(number / SPANS_PER_TRACE)) << 64 | u128::from(mix(number / SPANS_PER_TRACE + 1)))
}

fn reference(number: u64) -> SpanRef {
    SpanRef { trace_id: trace(number), span_id: SpanId::from(mix(number) | 1) }
}

/// Every twentieth is an image; the others are its bursts: reads of files that an earlier one wrote, writes, and here and
/// there a connection.
fn span(number: u64, session: SessionId, resource: &Arc<Resource>) -> Span {
    const EXECUTABLES: [&str; 8] = ["python3", "bash", "node", "git", "cc1", "rg", "cat", "sed"];
    let image = number - number % 20;
    let executable = EXECUTABLES[(mix(image) % 8) as usize];
    let mut attributes = Vec::with_capacity(24);
    let mut set = |name, value| attributes.push(Attribute { name, value });
    let text = |text: &str| Value::Text(text.to_owned().into());
    let owned = |text: String| Value::Text(text.into());
    set(semconv::AGENTSIGHT_SESSION_ID, owned(session.to_string()));
    set(semconv::AGENTSIGHT_LINEAGE, owned(format!("claude/bash/{executable}")));
    set(semconv::PROCESS_PID, Value::Int((1_000 + image / 20 % 30_000) as i64));
    set(semconv::AGENTSIGHT_PROCESS_START, owned((image * STEP_NANOS).to_string()));
    set(semconv::PROCESS_EXECUTABLE_NAME, text(executable));
    set(semconv::PROCESS_EXECUTABLE_PATH, owned(format!("/usr/bin/{executable}")));
    let mut links = Vec::new();
    let kind;
    let name;
    match number % 20 {
        0 => {
            kind = SpanKind::Internal;
            name = executable.to_owned();
            set(semconv::AGENTSIGHT_OBJECT_TYPE, text("process"));
            set(semconv::AGENTSIGHT_ACTION, text("exec"));
            set(
                semconv::PROCESS_COMMAND_ARGS,
                Value::Texts(vec![executable.to_owned(), "-q".to_owned(), format!("file{}.c", image % 977)]),
            );
        }
        7 => {
            kind = SpanKind::Client;
            let host = format!("host{}.example.com", mix(number) % 500);
            name = format!("connect {host}:443");
            set(semconv::AGENTSIGHT_OBJECT_TYPE, text("tcp"));
            set(semconv::AGENTSIGHT_ACTION, text("connect"));
            set(semconv::SERVER_ADDRESS, owned(host));
            set(semconv::SERVER_PORT, Value::Int(443));
            set(semconv::NETWORK_PEER_ADDRESS, owned(format!("10.0.{}.{}", number % 250, mix(number) % 250)));
            set(semconv::NETWORK_PEER_PORT, Value::Int(443));
        }
        place => {
            kind = SpanKind::Internal;
            let path = format!("/home/me/project/src/module{}/file{}.c", mix(number) % 97, mix(number) % 4_999);
            let action = if place % 2 == 0 { "write" } else { "read" };
            name = format!("{action} {}", path.rsplit('/').next().unwrap_or_default());
            set(semconv::AGENTSIGHT_OBJECT_TYPE, text("file"));
            set(semconv::AGENTSIGHT_ACTION, text(action));
            set(semconv::FILE_PATH, owned(path));
            set(semconv::AGENTSIGHT_FILE_ID, owned(format!("8:1:{}:7", mix(number) % 4_999)));
            set(semconv::AGENTSIGHT_IO_BYTES, Value::Int((mix(number) % 65_536) as i64));
            set(semconv::AGENTSIGHT_IO_OPERATIONS, Value::Int(3));
        }
    }
    // A chain: each burst goes back to the one before it, so that a slice of any depth can be asked for.
    if number % 20 > 1 {
        links.push(Link {
            to: reference(number - 1),
            attributes: vec![
                Attribute { name: semconv::AGENTSIGHT_LINK_TYPE, value: text("file") },
                Attribute { name: semconv::AGENTSIGHT_LINK_CONFIDENCE, value: Value::Double(0.95) },
                Attribute { name: semconv::AGENTSIGHT_LINK_BYTES, value: Value::Int(47) },
            ],
        });
    } else if number % 20 == 1 && number > 20 {
        links.push(Link {
            to: reference(number - 2),
            attributes: vec![
                Attribute { name: semconv::AGENTSIGHT_LINK_TYPE, value: text("flow") },
                Attribute { name: semconv::AGENTSIGHT_LINK_CONFIDENCE, value: Value::Double(0.5) },
            ],
        });
    }
    let start = START + number * STEP_NANOS;
    let parent = if number == image { image.checked_sub(20) } else { Some(image) };
    Span {
        id: reference(number),
        parent: parent.map(reference).filter(|parent| parent.trace_id == trace(number)).map(|parent| parent.span_id),
        trace_state: String::new(),
        name: name.into(),
        kind,
        start: WallNanos(start),
        end: WallNanos(start + STEP_NANOS / 2),
        attributes,
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links,
        dropped_links: 0,
        status: if number % 1_000 == 999 { Status::error("exit code 1") } else { Status::Unset },
        resource: Arc::clone(resource),
    }
}

/// A folder for the run, removed with everything in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("agentsight-bench-{}", std::process::id()));
        std::fs::create_dir(&path).expect("the folder for temporary files takes one more");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
