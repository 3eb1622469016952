//! What tracing costs: `make bench`.
//!
//! Each work is done alone and then in one other way, again and again (A B A B), and the pairs are compared. A table
//! is printed, and all that was measured is kept as JSON in target/bench. Needs root, and the built program.
//!
//! `QUICK=1` takes four minutes; `ONLY=a,d` does some works; `REPETITIONS=5` makes fewer pairs.

mod calls;
mod report;
mod servers;
mod way;
mod work;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::{Agentsight, binary};
use agentsight_tests::daemon::Daemon;
use agentsight_tests::directory::Directory;
use agentsight_tests::requirement::need_root;

use report::{Cell, Report};
use way::{Way, resident_kib};
use work::{ARGUMENT, Place, Work};

/// Pairs of AgentSight's; the other tools, which cost far more, show it with fewer.
const REPETITIONS: usize = 20;
const REPETITIONS_OF_OTHERS: usize = 5;
/// In which the kernel keeps run times.
const TIMED_RUNS: usize = 5;
/// In so much of its time a pair of ways makes fewer, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(480);
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(12);
const PATIENCE_IF_QUICK: Duration = Duration::from_secs(8);

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == ARGUMENT) {
        return work::serve(&words[1..]);
    }
    need_root();
    let quick = env::var_os("QUICK").is_some();
    let only = env::var("ONLY").ok();
    let chosen = |work: &Work| {
        let letter = work.name()[1..2].to_owned();
        only.as_ref().is_none_or(|only| only.split(',').any(|one| one == letter))
    };
    let asked = env::var("REPETITIONS").ok().and_then(|text| text.parse().ok());
    let directory = Directory::new();
    let place = Place { folder: directory.path().to_owned(), quick };
    if chosen(&Work::Library) {
        place.make_library();
    }
    place.make_project();
    let mut report = Report::begin(&binary().display().to_string());
    report.idle_mib = Some(idle_mib());
    if chosen(&Work::Model) {
        report.calls_a_request = servers::calls_a_request(&place);
    }
    for work in Work::ALL.iter().filter(|work| chosen(work)) {
        for way in Way::TRACERS.into_iter().filter(|way| is_asked(*work, *way, quick)) {
            let (most, patience) = match (way.is_others(), quick) {
                (false, false) => (asked.unwrap_or(REPETITIONS), PATIENCE),
                (false, true) => (asked.unwrap_or(5), PATIENCE_IF_QUICK),
                (true, false) => {
                    (asked.unwrap_or(REPETITIONS_OF_OTHERS).min(REPETITIONS_OF_OTHERS), PATIENCE_WITH_OTHERS)
                }
                (true, true) => (1, PATIENCE_IF_QUICK),
            };
            let cell = pairs(*work, way, &place, most, patience);
            eprintln!("{} · {}: {} pairs", work.name(), way.name(), cell.pairs());
            report.add(&work.name(), way.name(), cell);
        }
        if is_asked(*work, Way::Timed, quick) {
            let runs = (0..TIMED_RUNS).filter_map(|_| work.measure(Way::Timed, &place)).map(|(numbers, _)| numbers);
            report.add_timed(&work.name(), runs.collect());
        }
    }
    let folder = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target").into(), PathBuf::from)
        .join("bench");
    fs::create_dir_all(&folder).expect("the target folder is ours");
    let file = folder.join("cost.json");
    fs::write(&file, report.json()).expect("the target folder is ours");
    print!("{}", report.markdown());
    eprintln!("all that was measured is in {}", file.display());
}

/// What is worth asking: others' tools only where the question is how we compare, a neighbour only where it may suffer.
fn is_asked(work: Work, way: Way, quick: bool) -> bool {
    let suffers = matches!(work, Work::Calls | Work::Redis);
    let compared = !matches!(work, Work::Streams | Work::Agents(_));
    let small = !matches!(work, Work::Agents(1_000)) || !quick;
    way.is_here()
        && small
        && match way {
            Way::Alone => false,
            Way::AgentSight => true,
            Way::Neighbour => suffers,
            Way::Stopped | Way::Timed => is_taken_apart(work),
            Way::Floor => suffers || is_taken_apart(work),
            Way::Strace | Way::PerfTrace | Way::Bpftrace => compared,
        }
}

/// Where it is asked what the cost is made of.
fn is_taken_apart(work: Work) -> bool {
    matches!(work, Work::Spawn | Work::Compile | Work::Streams | Work::Agents(100))
}

fn pairs(work: Work, way: Way, place: &Place, most: usize, patience: Duration) -> Cell {
    let mut cell = Cell::default();
    let begun = Instant::now();
    while cell.pairs() < most && (cell.pairs() == 0 || begun.elapsed() < patience) {
        let (Some((alone, _)), Some((with, outcome))) = (work.measure(Way::Alone, place), work.measure(way, place))
        else {
            break;
        };
        cell.add(alone, with, &outcome);
    }
    cell
}

/// Resident memory of a daemon that has nothing to do.
fn idle_mib() -> f64 {
    let agentsight = Agentsight::as_root();
    let daemon = Daemon::start(&agentsight, "rules: []\n", &[]);
    std::thread::sleep(Duration::from_secs(2));
    let kib = resident_kib(daemon.id()).expect("it runs");
    let _ = daemon.stop();
    kib as f64 / 1_024.0
}
