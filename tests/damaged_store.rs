//! A store that the disk has damaged: the command runs as ever, and all but what stood in the damaged place arrives; where
//! the damage hides more, it is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::backend::free_ports;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::run;

const LIMIT: Duration = Duration::from_secs(60);
/// Spans that one page of the database can hold.
const OF_A_PAGE: usize = 8;
/// Bytes in a row that are wrong, at each of so many places, one place at a time.
const DAMAGE: usize = 40;
const PLACES: usize = 24;

#[test]
fn of_a_damaged_store_all_but_the_damaged_place_arrives_or_the_damage_is_told() {
    let agentsight = Agentsight::as_root();
    let [port] = free_ports();
    let endpoint = format!("http://127.0.0.1:{port}");
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do expr $i + 1 >>out; cat out; done";
    let arguments = ["run", "--no-tree", "--endpoint", &endpoint, "--protocol", "grpc", "--", "sh", "-c", script];
    let mut command = agentsight.command(arguments);
    let _ = run(command.current_dir(agentsight.directory().path()), LIMIT).expect_code(0);
    let store = agentsight.directory().join("store");
    wait_until_left(&store);
    let whole = fs::read(store.join("agentsight.db")).expect("root may read it");
    let listed = agentsight.run(["query", "--format", "ndjson", "--limit", "10000"]).expect_code(0);
    let stored = listed.stdout.lines().count();
    assert!(stored > 80, "{stored}");

    let mut delivered = 0;
    for place in (100..whole.len() - DAMAGE).step_by(whole.len() / PLACES) {
        damage(&store, &whole, place);
        let receiver = Receiver::start_on(port);
        let arrived = || receiver.trace().spans.len();
        let (begun, mut told) = (Instant::now(), false);
        // A collector that is over soon leaves some of it to the next one.
        while arrived() + OF_A_PAGE < stored && !told && begun.elapsed() < LIMIT {
            let mut command = agentsight.command(["run", "--no-tree", "--", "sh", "-c", "exit 7"]);
            let ran = run(command.env("AGENTSIGHT_LOG", "warn"), LIMIT);
            assert!(!ran.stderr.contains("panicked"), "byte {place}: {}", ran.stderr);
            let refused = ran.code() == 2 && ran.stderr.contains("move it away");
            assert!(refused || ran.code() == 7, "byte {place}: {}", ran.stderr);
            told = refused || ran.stderr.contains("WARN");
            wait_until_left(&store);
        }
        let all_but_a_page = arrived() + OF_A_PAGE >= stored;
        assert!(all_but_a_page || told, "byte {place}: {} of {stored}, and nobody said why", arrived());
        delivered += usize::from(all_but_a_page);
    }
    assert!(delivered > PLACES * 3 / 4, "only {delivered} of {PLACES}");
}

/// Until no collector has the store open: the last one takes the log away.
fn wait_until_left(store: &Path) {
    wait_for("the collector to be done with the store", LIMIT, || {
        (!store.join("agentsight.db-wal").exists()).then_some(())
    });
}

/// Puts the store back as it was, but for one place.
fn damage(store: &Path, whole: &[u8], place: usize) {
    for file in fs::read_dir(store).expect("the store is ours").flatten() {
        if file.path().is_file() {
            fs::remove_file(file.path()).expect("the store is ours");
        }
    }
    let mut bytes = whole.to_vec();
    bytes[place..place + DAMAGE].iter_mut().for_each(|byte| *byte ^= 0x10);
    let path = store.join("agentsight.db");
    fs::write(&path, bytes).expect("the store is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}
