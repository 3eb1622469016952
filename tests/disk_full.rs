//! A store on a disk that fills up: the command does not notice, the user is told, and what was stored arrives.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::run;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// A file system of a few megabytes, as long as this lives.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn at(path: std::path::PathBuf) -> Self {
        fs::create_dir(&path).expect("the directory is ours");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"]).arg(&path);
        let _ = run(&mut mount, LIMIT).expect_code(0);
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A collector may still have it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_costs_spans_that_are_counted_and_nothing_that_was_stored() {
    let agentsight = Agentsight::as_root();
    let store = agentsight.directory().join("store");
    let _disk = SmallDisk::at(store.clone());
    let receiver = Receiver::start();
    let script = "i=0; while [ $i -lt 2003 ]; do /bin/true; i=$((i+1)); done; exit 5";
    let run = ["run", "--no-tree", "--no-self-telemetry", "--endpoint", &receiver.endpoint(), "--", "sh", "-c", script];
    let finished = agentsight.run(run).expect_code(5);
    assert!(finished.stderr.contains("could not be stored"), "{}", finished.stderr);
    let stored = agentsight.run(["query", "--format", "ndjson", "--limit", "100000"]).expect_code(0);
    let stored: BTreeSet<String> = stored
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("a line is JSON")["span_id"].as_str().expect("an id").to_owned()
        })
        .collect();
    assert!(stored.len() > 50, "only {} were stored in {}", stored.len(), path_text(&store));
    wait_for("all that was stored to arrive", LIMIT, || {
        let arrived: BTreeSet<String> = receiver.trace().spans.into_iter().map(|span| span.id).collect();
        stored.is_subset(&arrived).then_some(())
    });
}
