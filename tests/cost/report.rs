//! The table, and everything behind it as JSON.

use std::fmt::Write;
use std::fs;

use agentsight_tests::comparison::{Comparison, median};
use serde_json::json;

use crate::way::{HOOKS, Outcome};
use crate::work::Numbers;

/// Pairs of one work in one way.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    /// Alone, and in the way.
    pairs: Vec<(Numbers, Numbers)>,
    lost: u64,
    /// Of its collectors.
    mib: Option<f64>,
    cpu_s: Vec<f64>,
}

impl Cell {
    pub(crate) fn pairs(&self) -> usize {
        self.pairs.len()
    }

    pub(crate) fn add(&mut self, alone: Numbers, with: Numbers, outcome: &Outcome) {
        self.pairs.push((alone, with));
        self.lost += outcome.lost;
        if let Some(taken) = outcome.collector {
            self.mib = Some(self.mib.map_or(taken.mib, |most| most.max(taken.mib)));
            self.cpu_s.push(taken.cpu_s);
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.pairs.first().into_iter().flat_map(|(alone, _)| alone.keys())
    }

    fn comparison(&self, name: &str) -> Option<Comparison> {
        let of = |(alone, with): &(Numbers, Numbers)| Some((*alone.get(name)?, *with.get(name)?));
        Comparison::of(&self.pairs.iter().filter_map(of).collect::<Vec<_>>())
    }
}

/// All of it.
pub(crate) struct Report {
    program: String,
    load_before: String,
    pub(crate) idle_mib: Option<f64>,
    /// System calls that the model's server makes for a request.
    pub(crate) calls_a_request: Option<f64>,
    rows: Vec<(String, &'static str, Cell)>,
    /// Runs in which the kernel kept the run times of the programs, and of empty ones beside them.
    timed: Vec<(String, Vec<Numbers>)>,
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, Into::into)
}

impl Report {
    pub(crate) fn begin(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            load_before: load(),
            idle_mib: None,
            calls_a_request: None,
            rows: Vec::new(),
            timed: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, work: &str, way: &'static str, cell: Cell) {
        self.rows.push((work.to_owned(), way, cell));
    }

    pub(crate) fn add_timed(&mut self, work: &str, runs: Vec<Numbers>) {
        self.timed.push((work.to_owned(), runs));
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "Linux {}, {} processors, load {} before and {} after (1, 5, 15 minutes).\n\n",
            kernel(),
            processors(),
            self.load_before,
            load()
        );
        text.push_str("| work | measured | alone | in which way | more than alone (95 % interval) | pairs |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        for (work, way, cell) in &self.rows {
            for name in cell.names() {
                let Some(found) = cell.comparison(name) else { continue };
                let _ = writeln!(
                    text,
                    "| {work} | {name} | {} | {way} | {found} | {} |",
                    significant(found.base),
                    found.pairs
                );
            }
        }
        if let Some(calls) = self.calls_a_request {
            let _ = writeln!(text, "\nThe model's server makes {calls:.0} system calls for a request.");
        }
        text.push_str("\n| work | hook | runs | ns of AgentSight's | of an empty program | ms more in all |\n|---|---|---|---|---|---|\n");
        for (work, runs) in &self.timed {
            for (hook, ..) in HOOKS {
                let of = |what: &str| {
                    let numbers: Vec<f64> =
                        runs.iter().filter_map(|run| run.get(&format!("{hook} {what}")).copied()).collect();
                    (!numbers.is_empty()).then(|| median(numbers))
                };
                let (Some(count), Some(ours), Some(empty)) = (of("runs"), of("ns"), of("empty ns")) else { continue };
                let more = (ours - empty) * count / 1e6;
                let _ = writeln!(text, "| {work} | {hook} | {count:.0} | {ours:.0} | {empty:.0} | {more:.1} |");
            }
        }
        text.push_str("\n| work | events lost | the collector's memory, MiB at most | its processor time, s |\n|---|---|---|---|\n");
        if let Some(idle) = self.idle_mib {
            let _ = writeln!(text, "| a daemon with nothing to do | – | {idle:.1} | – |");
        }
        for (work, _, cell) in &self.rows {
            if let Some(mib) = cell.mib {
                let (runs, cpu_s) = (cell.pairs(), median(cell.cpu_s.clone()));
                let _ = writeln!(text, "| {work} | {} in {runs} runs | {mib:.1} | {cpu_s:.2} |", cell.lost);
            }
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(work, way, cell)| {
                let pairs: Vec<_> =
                    cell.pairs.iter().map(|(alone, with)| json!({"alone": alone, "with": with})).collect();
                json!({"work": work, "way": way, "pairs": pairs, "lost": cell.lost, "collector_mib": cell.mib, "collector_cpu_s": cell.cpu_s})
            })
            .collect();
        let all = json!({
            "program": self.program, "kernel": kernel(), "processors": processors(),
            "load_before": self.load_before, "load_after": load(), "idle_mib": self.idle_mib,
            "calls_a_request": self.calls_a_request, "rows": rows, "timed": self.timed,
        });
        serde_json::to_string_pretty(&all).expect("it has a text")
    }
}

/// Three digits that mean something.
fn significant(number: f64) -> String {
    match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number if number >= 1.0 => format!("{number:.2}"),
        number => format!("{number:.3}"),
    }
}
