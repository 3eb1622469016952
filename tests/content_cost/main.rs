//! What it costs a stream of a GiB that its contents are captured, and how much of it is: `make bench-content`.
//!
//! Each stream is moved by a program that is traced, without capture and in one other way, in turns, and the pairs are compared.
//! Of the other way it is told how much is known and how much is missing, and why; what is on no span's account must have been
//! counted as lost. Needs root, and the built program. `PAIRS=3` makes fewer, `MEBIBYTES=64` moves less.

mod account;
mod stream;

use std::env;
use std::fs;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::collector::Collector;
use agentsight_tests::comparison::{Comparison, median};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::requirement::need_root;
use agentsight_tests::run::Started;
use nix::sys::signal::Signal;

use account::Account;
use stream::{ARGUMENT, Stream};

const LIMIT: Duration = Duration::from_secs(120);

/// How a traced program's stream is captured.
#[derive(Clone, Copy)]
enum Way {
    Not,
    /// With the budgets that hold where nothing is said.
    Default,
    /// With budgets for all of it.
    Raised,
    /// Likewise, while the collector stands still from before the first byte to after the last.
    Stopped,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Not => "not captured",
            Self::Default => "default budgets",
            Self::Raised => "budgets for all of it",
            Self::Stopped => "the same, collector stopped",
        }
    }

    fn options(self, stream: Stream) -> Vec<&'static str> {
        let all = ["--capture-burst-bytes", "4294967295", "--capture-session-bytes", "1099511627776"];
        match self {
            Self::Not => Vec::new(),
            Self::Default => stream.options().to_vec(),
            Self::Raised | Self::Stopped => [stream.options(), &all].concat(),
        }
    }
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [argument, stream, mebibytes] = words.as_slice()
        && argument == ARGUMENT
    {
        return Stream::of(stream).pour(mebibytes.parse().expect("it is a number"));
    }
    need_root();
    let number =
        |name: &str, otherwise: usize| env::var(name).map_or(otherwise, |text| text.parse().expect("a number"));
    let (pairs, mebibytes) = (number("PAIRS", 7), number("MEBIBYTES", 1024));
    println!("load {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    println!(
        "| {mebibytes} MiB, {pairs} pairs | s without | with it | MiB known | missing by budget | ring full | only counted |"
    );
    println!("|---|---|---|---|---|---|---|");
    for stream in Stream::ALL {
        for way in [Way::Default, Way::Raised, Way::Stopped] {
            let mut times = Vec::new();
            let mut accounts = Vec::new();
            for turn in 0..pairs {
                let (with, account, without);
                if turn % 2 == 0 {
                    (without, _) = measure(stream, Way::Not, mebibytes);
                    (with, account) = measure(stream, way, mebibytes);
                } else {
                    (with, account) = measure(stream, way, mebibytes);
                    (without, _) = measure(stream, Way::Not, mebibytes);
                }
                times.push((without, with));
                accounts.push(account);
            }
            let compared = Comparison::of(&times).expect("there are pairs");
            let of = |part: fn(&Account) -> u64| {
                let mebibytes = accounts.iter().map(|account| part(account) as f64 / f64::from(1 << 20)).collect();
                format!("{:.1}", median(mebibytes))
            };
            println!(
                "| {}, {} | {:.2} | {compared} | {} | {} | {} | {} |",
                stream.name(),
                way.name(),
                compared.base,
                of(|account| account.known),
                of(|account| account.over_budget),
                of(|account| account.ring_full),
                of(|account| account.only_counted),
            );
        }
    }
}

/// Seconds that the stream took the traced program, and what became of its bytes.
fn measure(stream: Stream, way: Way, mebibytes: usize) -> (f64, Account) {
    let agentsight = Agentsight::as_root();
    let place = |name| agentsight.directory().join(name);
    let own = env::current_exe().expect("Linux knows it");
    let mebibytes_text = mebibytes.to_string();
    let options = ["run", "--no-tree", "--no-daemon", "--no-self-telemetry"];
    let program = ["--", path_text(&own), ARGUMENT, stream.name(), &mebibytes_text];
    let mut command = agentsight.command(options.iter().chain(&way.options(stream)).chain(&program));
    let stub = Started::new(command.current_dir(agentsight.directory().path()));
    wait_for("the program", LIMIT, || place("ready").exists().then_some(()));
    let collector = Collector::wait_for(stub.id());
    if matches!(way, Way::Stopped) {
        collector.signal(Signal::SIGSTOP);
    }
    fs::write(place("go"), "").expect("the directory is ours");
    wait_for("the end of the stream", LIMIT, || place("done").exists().then_some(()));
    collector.signal(Signal::SIGCONT);
    let _ = stub.finish(LIMIT).expect_code(0);
    let seconds = fs::read_to_string(place("done")).expect("it is there");
    let seconds = seconds.parse().expect("it says how long it took");
    // It may be longer at work than the stub waits.
    collector.wait_for_end();
    let mut account = match way {
        Way::Not => Account::default(),
        _ => Account::of(&agentsight),
    };
    if !matches!(way, Way::Not) {
        let moved = (mebibytes as u64 * stream.ends()) << 20;
        let sum = account.sum();
        account.only_counted = moved.checked_sub(sum).unwrap_or_else(|| panic!("{account:?} is more than {moved}"));
        assert!(account.only_counted == 0 || account.lost_chunks > 0, "{account:?} is not {moved}, and nobody says so");
    }
    (seconds, account)
}
