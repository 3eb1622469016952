//! The daemon under churn for a long time: memory, descriptors, threads and map entries stay flat. By `make soak` alone.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::daemon::{Agent, Daemon};
use agentsight_tests::receiver::Receiver;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::run;
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(60);
/// Sessions by rules begin about so often, each with a few short processes.
const AGENT_PAUSE: Duration = Duration::from_millis(150);
/// Sessions of callers begin about so often.
const CALLER_PAUSE: Duration = Duration::from_millis(600);

#[test]
#[ignore = "takes half an hour: make soak"]
fn the_daemon_stays_as_small_as_it_was_under_churn() {
    let minutes: f64 = std::env::var("MINUTES").ok().map_or(30.0, |text| text.parse().expect("MINUTES is a number"));
    let (agentsight, receiver) = (Agentsight::as_root(), Receiver::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    let config = format!(
        "export: {{endpoint: '{}'}}\nrules: [{{executable: '{}'}}]\n",
        receiver.endpoint(),
        agent.path.display()
    );
    let daemon = Daemon::start(&agentsight, &config, &[]);
    // One session that lasts, and goes on from trace to trace by its age, beside the many that come and go.
    let lasting = agent.start("while :; do /bin/true; sleep 0.2; done & read end; kill $!");
    let (over, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
    let samples = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let script = "sleep 0.05; /bin/true; (/bin/true & /bin/true); (sleep 0.1 &); exit 3";
                let _ = run(&mut agent.command(["-c", script]), LIMIT).expect_code(3);
                begun.fetch_add(1, Ordering::Relaxed);
                thread::sleep(AGENT_PAUSE);
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _ = agentsight
                    .run(["run", "--tree", "--", "sh", "-c", "/bin/true; /bin/true | /bin/true"])
                    .expect_code(0);
                begun.fetch_add(1, Ordering::Relaxed);
                thread::sleep(CALLER_PAUSE);
            }
        });
        let samples = sample_for(daemon.id(), Duration::from_secs_f64(minutes * 60.0));
        over.store(true, Ordering::Relaxed);
        samples
    });
    drop(lasting);
    let begun = begun.into_inner();
    let _ = daemon.stop().expect_code(0);

    println!("{begun} sessions and {} spans in {minutes} minutes", receiver.trace().spans.len());
    let mut grown = Vec::new();
    for (name, series) in &samples {
        println!("{name:22} {series}");
        if series.has_grown() {
            grown.push(name);
        }
    }
    assert!(begun as f64 > minutes * 60.0, "{begun} sessions are no churn");
    assert!(grown.is_empty(), "{grown:?} grew");
}

/// What a quantity was, over time.
#[derive(Debug, Default)]
struct Series {
    /// Minutes since the beginning, and the quantity.
    points: Vec<(f64, f64)>,
    /// What it may differ by without any meaning.
    play: f64,
}

impl Series {
    /// The first third is warming up: caches fill, pools reach their size.
    fn thirds(&self) -> [&[(f64, f64)]; 2] {
        let third = self.points.len() / 3;
        [&self.points[third..2 * third], &self.points[2 * third..]]
    }

    fn has_grown(&self) -> bool {
        let [middle, last] = self.thirds();
        median(last) > median(middle) * 1.05 + self.play
    }

    /// By least squares, past the warming up, in units a minute.
    fn slope(&self) -> f64 {
        let points = &self.points[self.points.len() / 3..];
        let count = points.len() as f64;
        let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
        let (time, quantity) = (mean(|point| point.0), mean(|point| point.1));
        let covariance: f64 = points.iter().map(|point| (point.0 - time) * (point.1 - quantity)).sum();
        let variance: f64 = points.iter().map(|point| (point.0 - time).powi(2)).sum();
        covariance / variance
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [middle, last] = self.thirds();
        let most = self.points.iter().map(|point| point.1).fold(0.0, f64::max);
        write!(
            f,
            "{:10.0} in the middle, {:10.0} at the end, {most:10.0} at most, {:+10.2} a minute",
            median(middle),
            median(last),
            self.slope()
        )
    }
}

fn median(points: &[(f64, f64)]) -> f64 {
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn sample_for(daemon: Pid, time: Duration) -> BTreeMap<String, Series> {
    let begun = Instant::now();
    let mut all: BTreeMap<String, Series> = BTreeMap::new();
    while begun.elapsed() < time {
        thread::sleep(Duration::from_secs(1).min(time / 60));
        for (name, play, quantity) in look_at(daemon) {
            let series = all.entry(name).or_default();
            series.play = play;
            series.points.push((begun.elapsed().as_secs_f64() / 60.0, quantity));
        }
    }
    all
}

/// Names, plays and quantities, now.
fn look_at(daemon: Pid) -> Vec<(String, f64, f64)> {
    let process = PathBuf::from(format!("/proc/{daemon}"));
    let status = fs::read_to_string(process.join("status")).expect("the daemon runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().expect("it is a number")
    };
    let descriptors = fs::read_dir(process.join("fd")).expect("the daemon runs").count();
    let mut found = vec![
        ("resident KiB".to_owned(), 3072.0, field("VmRSS")),
        ("threads".to_owned(), 6.0, field("Threads")),
        // A session that has just ended still has its senders, each with a connection to the store.
        ("descriptors".to_owned(), 24.0, descriptors as f64),
    ];
    found.extend(map_entries(&process).into_iter().map(|(name, count)| (name, 8.0, count)));
    found
}

/// How many entries each hash map has that this process holds.
fn map_entries(process: &Path) -> Vec<(String, f64)> {
    // Debian has it where only root's PATH looks.
    let elsewhere = Path::new("/usr/sbin/bpftool");
    let bpftool = if elsewhere.exists() { elsewhere.to_owned() } else { need_program("bpftool", "bpftool") };
    let mut entries = Vec::new();
    for descriptor in fs::read_dir(process.join("fdinfo")).expect("the daemon runs").flatten() {
        let info = fs::read_to_string(descriptor.path()).unwrap_or_default();
        let Some(id) = info.lines().find_map(|line| line.strip_prefix("map_id:")) else { continue };
        // BPF_MAP_TYPE_HASH; arrays and rings never change their size.
        if !info.lines().any(|line| line.split_whitespace().eq(["map_type:", "1"])) {
            continue;
        }
        let ask = |what: &str| -> serde_json::Value {
            let output =
                Command::new(&bpftool).args(["-j", "map", what, "id", id.trim()]).output().expect("it was found");
            serde_json::from_slice(&output.stdout).unwrap_or_default()
        };
        let name = ask("show")["name"].as_str().unwrap_or(id.trim()).to_owned();
        entries.push((format!("entries of {name}"), ask("dump").as_array().map_or(0, Vec::len) as f64));
    }
    entries
}
