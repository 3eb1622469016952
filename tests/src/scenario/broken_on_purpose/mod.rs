//! The judge judged: of one trace that is right, every kind of line and every rule holds; broken on purpose, each fails
//! with words that name the place and what is there instead.

mod lines;
mod rules;

use super::made::{Made, Which};
use super::{Failure, Scenario, failures};

/// `cat in.txt > copy; sort copy | tee out &`, and what else a line can speak of.
struct World {
    made: Made,
    bash: Which,
    cat: Which,
    cat_reads: Which,
    cat_writes: Which,
    /// An exec in place of `sort_shell`.
    sort: Which,
    sort_reads: Which,
    sort_writes: Which,
    tee: Which,
    tee_reads: Which,
    tee_writes: Which,
    /// `tee` was promoted.
    tee_exit: Which,
    connection: Which,
}

fn world() -> World {
    let mut made = Made::default();
    let bash = made.image_called("/usr/bin/bash", &["bash", "-c", "…"], 10, None, 0..1000);
    let cat = made.image("cat", 11, Some(bash), 10..100);
    let cat_reads = made.doing(cat, "file", "read", "/tmp/d/in.txt", 3000, 20..30);
    let cat_writes = made.doing(cat, "file", "write", "/tmp/d/copy", 3000, 25..40);
    made.doing(cat, "file", "read", "/usr/lib/locale/C", 77, 12..13);
    made.link("copy", cat_reads, cat_writes, 3000, 1.0);
    let shell = made.image_called("/usr/bin/dash", &["sh", "refresh.sh"], 12, Some(bash), 110..120);
    let sort = made.image("sort", 12, Some(shell), 120..300);
    made.link("exec", shell, sort, 0, 1.0);
    let sort_reads = made.doing(sort, "file", "read", "/tmp/d/copy", 3000, 130..140);
    made.link("file", cat_writes, sort_reads, 3000, 0.95);
    let sort_writes = made.doing(sort, "pipe", "write", "", 50, 150..200);
    made.link("flow", sort_reads, sort_writes, 0, 0.5);
    let tee = made.image("tee", 13, Some(bash), 125..500);
    let tee_exit = made.exit(tee, 125..800);
    let tee_reads = made.doing(tee, "pipe", "read", "", 20, 160..210);
    made.link("pipe", sort_writes, tee_reads, 20, 1.0);
    let more = made.doing(tee, "pipe", "read", "", 30, 220..230);
    made.link("pipe", sort_writes, more, 30, 1.0);
    let tee_writes = made.doing(tee, "file", "write", "/tmp/d/out", 50, 240..250);
    made.link("flow", tee_reads, tee_writes, 0, 0.5);
    made.event(tee_exit, "rename");
    made.error(tee_exit, "3");
    made.link("join", tee, bash, 0, 1.0);
    let connection = made.doing(tee, "tcp", "connect", "", 0, 260..270);
    made.error(connection, "ECONNREFUSED");
    World {
        made,
        bash,
        cat,
        cat_reads,
        cat_writes,
        sort,
        sort_reads,
        sort_writes,
        tee,
        tee_reads,
        tee_writes,
        tee_exit,
        connection,
    }
}

/// The trace's failures for a scenario whose third line is this.
fn judge(line: &str, world: &World) -> Vec<String> {
    let scenario = Scenario::parse("x.scenario", &format!("run: true\n# next\n{line}\n")).unwrap();
    failures(&scenario, &world.made.trace).iter().map(Failure::to_string).collect()
}
