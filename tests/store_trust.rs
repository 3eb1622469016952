//! The store against its subject: what a traced user can try, and what an accident of the disk can do.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::held::Held;
use agentsight_tests::programs::python;
use agentsight_tests::run::run;

const LIMIT: Duration = Duration::from_secs(60);

/// What the user of a traced process tries, in their own name: to read, alter, truncate, replace, remove and lock every file of the
/// store, by its path and by SQLite. Prints what succeeded.
const ATTEMPTS: &str = r#"
import fcntl, os, shutil, sqlite3, sys
store = sys.argv[1]
files = [os.path.join(store, name) for name in ("agentsight.db", "agentsight.db-wal", "agentsight.db-shm", "session.lock", "open.lock", "destination.lock")]
def lock(path):
    with open(path, "r") as file: fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
def sql(mode):
    def attempt(path):
        sqlite3.connect(f"file:{path}?mode={mode}", uri=True).execute("SELECT * FROM sqlite_master").fetchall()
    return attempt
attempts = {
    "list": lambda path: os.listdir(store),
    "read": lambda path: open(path, "rb").read(1),
    "alter": lambda path: open(path, "r+b").write(b"x"),
    "truncate": lambda path: os.truncate(path, 0),
    "replace": lambda path: os.replace("/tmp", path),
    "rename": lambda path: os.rename(path, path + ".gone"),
    "remove": os.remove,
    "move the folder": lambda path: os.rename(store, store + ".gone"),
    "remove the folder": lambda path: shutil.rmtree(store),
    "open to all": lambda path: os.chmod(path, 0o666),
    "open the folder to all": lambda path: os.chmod(store, 0o777),
    "link": lambda path: os.link(path, "/tmp/agentsight-link-%d" % os.getpid()),
    "lock": lock,
    "plant": lambda path: open(os.path.join(store, "planted"), "w"),
    "read by SQLite": sql("ro"),
    "write by SQLite": sql("rw"),
}
for path in files:
    for name, attempt in attempts.items():
        try:
            attempt(path)
        except (OSError, sqlite3.Error):
            continue
        print("SUCCEEDED:", name, path)
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{fd}").startswith(store): print("SUCCEEDED: descriptor of", pid)
    except OSError: pass
print("tried", os.getuid())
"#;

#[test]
fn the_user_of_a_traced_process_can_do_nothing_to_the_store_while_it_is_written() {
    let agentsight = Agentsight::as_root();
    // The way to the store is open: it is the store that is closed.
    fs::set_permissions(agentsight.directory().join("."), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let held = Held::start(&agentsight, &[], "exit 0");
    held.command_does("/bin/true");
    let store = agentsight.directory().join("store");
    wait_for("the store", LIMIT, || store.join("agentsight.db").exists().then_some(()));
    let mut attempt = Command::new("setpriv");
    attempt.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--",
        python(),
        "-c",
        ATTEMPTS,
        path_text(&store),
    ]);
    let finished = run(&mut attempt, LIMIT).expect_code(0);
    assert_eq!(finished.stdout, "tried 65534\n", "{}", finished.stderr);
    held.command_does("/bin/true");
    let _ = held.let_go().expect_code(0);
    wait_for("the session's spans", LIMIT, || {
        let shown = agentsight.run(["query", "--exe", "true", "--format", "ndjson"]).expect_code(0);
        (shown.stdout.lines().count() == 2).then_some(())
    });
}

#[test]
fn whatever_bit_of_a_store_is_flipped_nothing_panics_and_trouble_is_told() {
    let agentsight = Agentsight::as_root();
    let _ = agentsight.run(["run", "--no-tree", "--", "sh", "-c", "expr 1 + 2; expr 3 + 4"]).expect_code(0);
    let log = agentsight.directory().join("store/agentsight.db-wal");
    wait_for("the collector to be done with the store", LIMIT, || (!log.exists()).then_some(()));
    let whole = fs::read(agentsight.directory().join("store/agentsight.db")).expect("root may read it");
    let mut refused = 0;
    // Prime, so that all parts of pages are met.
    for place in (0..whole.len()).step_by(2_477) {
        let copy = flipped(&agentsight, &whole, place);
        for question in [&["sessions"][..], &["query"], &["show", "last"], &["why", "--exe", "expr", "--last"]] {
            let finished = agentsight.run(question.iter().chain(&["--store", path_text(&copy)]));
            assert!(!finished.stderr.contains("panicked"), "bit at {place}: {}", finished.stderr);
            assert!([0, 1, 2].contains(&finished.code()), "bit at {place}: {finished:?}");
            if finished.code() == 2 {
                assert!(finished.stderr.starts_with("agentsight: "), "{}", finished.stderr);
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "no flipped bit was noticed at all");
}

fn flipped(agentsight: &Agentsight, whole: &[u8], place: usize) -> PathBuf {
    let copy = agentsight.directory().join("flipped.db");
    fs::write(&copy, whole).expect("the directory is ours");
    write_at(&copy, place, whole[place] ^ 0x10);
    copy
}

fn write_at(path: &Path, place: usize, byte: u8) {
    let mut file = fs::OpenOptions::new().write(true).open(path).expect("it was written just now");
    file.seek(SeekFrom::Start(place as u64)).expect("it is that long");
    file.write_all(&[byte]).expect("it can be written");
}
