//! How much memory the collector's pipeline asks for, for each event: recorded runs through graph, spans and encoding.
//!
//! Time varies with the machine, requests for memory with the code alone: so this is what a change must not make worse
//! unnoticed. Whoever needs more on purpose, or has recorded the runs anew, writes what the test prints into `EXPECTED`.

mod heap;

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use agentsight::otlp::encode;
use agentsight::pipeline::Pipeline;
use agentsight::recording::Reader;
use agentsight::session::Session;
use agentsight::spans::model::Signal;
use agentsight_ebpf::{Event, KernelNanos};
use prost::Message as _;

use heap::{Asked, Counting};

#[global_allocator]
static HEAP: Counting = Counting;

/// Folder of recordings below `tests`, stage, requests and bytes for one event.
const EXPECTED: [(&str, Stage, f64, f64); 4] = [
    ("recordings", Stage::Pipeline, 29.4, 11484.0),
    ("recordings", Stage::Encoding, 15.6, 987.0),
    ("scenarios/recordings", Stage::Pipeline, 5.2, 743.0),
    ("scenarios/recordings", Stage::Encoding, 3.0, 207.0),
];
/// The number of requests is the same from run to run, but for what the seeds of hash tables make of it.
const GROWTH_PERCENT: f64 = 10.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// From event to signal.
    Pipeline,
    /// From span to OTLP's bytes.
    Encoding,
}

#[test]
fn an_event_takes_no_more_memory_on_its_way_than_it_did() {
    let mut more = Vec::new();
    for folder in ["recordings", "scenarios/recordings"] {
        let mut events = 0.0;
        let mut asked = [Asked::default(); 2];
        for path in recordings(folder) {
            let run = Run::read(&path);
            events += run.events.len() as f64;
            for (sum, more) in asked.iter_mut().zip(run.repeat()) {
                sum.times += more.times;
                sum.bytes += more.bytes;
            }
        }
        for (stage, asked) in [Stage::Pipeline, Stage::Encoding].into_iter().zip(asked) {
            let (times, bytes) = (asked.times as f64 / events, asked.bytes as f64 / events);
            let expected = EXPECTED.into_iter().find(|it| it.0 == folder && it.1 == stage);
            let (.., expected_times, expected_bytes) = expected.expect("each has its line");
            println!(
                "{folder}, {events} events, {stage:?}: {times:.1} requests an event ({expected_times}), \
                 {bytes:.0} bytes ({expected_bytes})"
            );
            let most = 1.0 + GROWTH_PERCENT / 100.0;
            if times > expected_times * most || bytes > expected_bytes * most {
                more.push(format!("{folder}, {stage:?}: {times:.1} requests, {bytes:.0} bytes"));
            }
        }
    }
    assert!(more.is_empty(), "for an event it takes more than {EXPECTED:?} and {GROWTH_PERCENT} %: {more:?}");
}

/// One recorded run, read.
struct Run {
    session: Session,
    events: Vec<Event>,
    end: KernelNanos,
}

impl Run {
    fn read(path: &Path) -> Self {
        let file = BufReader::new(File::open(path).expect("the recordings are part of the repository"));
        let mut reader = Reader::open(file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let events: Vec<Event> = reader.by_ref().map(|event| event.expect("it is whole")).collect();
        let end = reader.end().unwrap_or_else(|| panic!("{} has no end", path.display())).at;
        Self { session: reader.header().session.clone(), events, end }
    }

    /// What each stage asked for.
    fn repeat(&self) -> [Asked; 2] {
        let begin = Asked::so_far();
        let mut pipeline = Pipeline::new(&self.session);
        // As the collector has it: signals leave when they are complete.
        let mut signals = Vec::new();
        let mut encoding = Asked::default();
        for event in &self.events {
            pipeline.apply(event, &mut signals);
            encode_all(&mut signals, &mut encoding);
        }
        pipeline.finish(self.end, &mut signals);
        encode_all(&mut signals, &mut encoding);
        [Asked::so_far().since(begin).since(encoding), encoding]
    }
}

fn encode_all(signals: &mut Vec<Signal>, encoding: &mut Asked) {
    let before = Asked::so_far();
    for signal in signals.drain(..) {
        match signal {
            Signal::Span(span) => drop(encode::span(&span).encode_to_vec()),
            Signal::Log(log) => drop(encode::log_record(&log).encode_to_vec()),
            Signal::Draft(_) | Signal::Content(_) => {}
        }
    }
    let more = Asked::so_far().since(before);
    encoding.times += more.times;
    encoding.bytes += more.bytes;
}

/// In one order on every machine.
fn recordings(folder: &str) -> Vec<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in a repository");
    let files = fs::read_dir(repository.join("tests").join(folder)).expect("the recordings are part of the repository");
    let mut all: Vec<_> = files.map(|file| file.expect("the repository can be read").path()).collect();
    all.retain(|file| file.extension().is_some_and(|extension| extension == "agsr"));
    all.sort();
    assert!(!all.is_empty(), "no recordings in {folder}");
    all
}
