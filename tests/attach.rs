//! `attach`: a tree that runs already is taken over without a gap and without a duplicate, and left alone afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::programs::{self, python};
use agentsight_tests::run::run;
use agentsight_tests::trace::{Span, Trace, Value};
use agentsight_tests::unprivileged::User;
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(60);

/// What the program itself says of one of its processes.
#[derive(Debug)]
struct Witness {
    parent: i64,
    code: i64,
    forked: i64,
    ended: i64,
}

#[test]
fn a_tree_that_forks_furiously_is_taken_over_without_a_gap_or_a_duplicate() {
    let agentsight = Agentsight::as_root();
    let family = Family::start(agentsight.directory().path());
    let attached = Attached::start(&agentsight, family.id(), &[]);
    let since = boottime();
    // Long enough for some hundred forks after the take-over.
    let dead_by_then = family.log().len();
    wait_for("more of the family", LIMIT, || (family.log().len() > dead_by_then + 300).then_some(()));
    let trace = attached.read_when_over(|| family.end());

    trace.assert_whole();
    let trace = trace.processes();
    let mut by_pid: BTreeMap<i64, Vec<&Span>> = BTreeMap::new();
    for span in &trace.spans {
        by_pid.entry(span.int("process.pid").expect("every span has one")).or_default().push(span);
    }
    let witnesses = family.log();
    let concerned: Vec<_> = witnesses.iter().filter(|(_, witness)| witness.ended > since).collect();
    assert!(concerned.len() > 200, "{}", concerned.len());
    for (pid, witness) in concerned {
        let spans = by_pid.get(pid).map(Vec::as_slice).unwrap_or_default();
        let [span] = spans else { panic!("{} spans of process {pid}, {witness:?}", spans.len()) };
        assert_eq!(span.int("process.exit.code"), Some(witness.code), "{pid} {witness:?}");
        if witness.forked > since {
            let parent = trace.span(span.parent.as_deref().unwrap_or_default()).expect("it has a parent");
            assert_eq!(parent.int("process.pid"), Some(witness.parent), "{pid} {witness:?}");
        }
    }
    let running = trace.spans.iter().filter(|span| is_true(span, "agentsight.process.already_running"));
    let running: BTreeSet<_> = running.filter_map(|span| span.int("process.pid")).collect();
    assert!(running.len() >= 4, "the root and three workers ran before: {running:?}");
    assert!(!trace.spans.iter().any(|span| span.attributes.keys().any(|name| name.starts_with("agentsight.loss"))));
}

#[test]
fn a_running_process_is_described_as_it_is_and_its_replay_is_the_same() {
    let agentsight = Agentsight::as_root();
    let recording = agentsight.directory().join("attached.agsr");
    let mut sleeper = Command::new("sleep").arg("600").current_dir("/usr").spawn().expect("sleep is everywhere");
    let attached = Attached::start(&agentsight, sleeper.id(), &["--recording", path_text(&recording)]);
    let trace = attached.read_when_over(|| {
        sleeper.kill().expect("it is ours");
        let _ = sleeper.wait();
    });
    let span = trace.only("sleep");
    assert_eq!(span.texts("process.command_args"), ["sleep", "600"]);
    assert_eq!(span.text("process.working_directory"), "/usr");
    assert_eq!(span.text("error.type"), "SIGKILL");
    assert!(is_true(span, "agentsight.process.already_running"));

    let again = agentsight.directory().join("again.jsonl");
    let finished =
        agentsight.run(["replay", "--no-tree", "--output", path_text(&again), path_text(&recording)]).expect_code(0);
    assert_eq!(agentsight.read(&again, &finished).sorted(), trace.sorted());
}

#[test]
fn detaching_leaves_the_tree_alone_by_ctrl_c_and_by_command() {
    for by_command in [false, true] {
        let agentsight = Agentsight::as_root();
        let mut sleeper = Command::new("sleep").arg("600").spawn().expect("sleep is everywhere");
        let id = sleeper.id().to_string();
        let attached = Attached::start(&agentsight, sleeper.id(), &[]);
        let trace = attached.read_when_over_by(|stub| {
            if by_command {
                let ended = agentsight.run(["attach", "--detach", "--pid", &id]).expect_code(0);
                assert!(ended.stderr.contains("goes on"), "{}", ended.stderr);
            } else {
                kill(stub, Signal::SIGINT).expect("it is ours");
            }
        });
        assert!(is_true(trace.only("sleep"), "agentsight.span.incomplete"));
        assert!(sleeper.try_wait().expect("it is ours").is_none(), "the sleeper goes on");
        sleeper.kill().expect("it is ours");
        let _ = sleeper.wait();
    }
}

#[test]
fn what_cannot_be_attached_to_is_said() {
    let agentsight = Agentsight::as_root();
    // Above any pid_max.
    let nobody = agentsight.run(["attach", "--pid", "4194305"]).expect_code(2);
    assert!(nobody.stderr.contains("no process has the id 4194305"), "{}", nobody.stderr);
    let untraced = agentsight.run(["attach", "--detach", "--pid", "1"]).expect_code(2);
    assert!(untraced.stderr.contains("no session traces process 1"), "{}", untraced.stderr);

    let mut sleeper = Command::new("sleep").arg("600").spawn().expect("sleep is everywhere");
    let attached = Attached::start(&agentsight, sleeper.id(), &[]);
    let twice = agentsight.run(["attach", "--pid", &sleeper.id().to_string()]).expect_code(2);
    assert!(twice.stderr.contains("traced already, by session"), "{}", twice.stderr);
    let _ = attached.read_when_over(|| {
        sleeper.kill().expect("it is ours");
        let _ = sleeper.wait();
    });
}

#[test]
fn without_root_it_is_said_how() {
    let user = User::new();
    let refused = run(&mut user.agentsight(["attach", "--pid", "1"]), LIMIT).expect_code(2);
    assert!(refused.stderr.contains("sudo agentsight attach"), "{}", refused.stderr);
}

/// The program that forks furiously.
struct Family<'a> {
    directory: &'a Path,
    child: Child,
}

impl<'a> Family<'a> {
    fn start(directory: &'a Path) -> Self {
        let child = Command::new(python())
            .arg(programs::path("family.py"))
            .current_dir(directory)
            .stdin(Stdio::null())
            .spawn()
            .expect("Python is there");
        let family = Self { directory, child };
        wait_for("the family", LIMIT, || directory.join("ready").exists().then_some(()));
        wait_for("its first dead", LIMIT, || (family.log().len() > 50).then_some(()));
        family
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    fn end(&self) {
        fs::write(self.directory.join("end"), "").expect("the directory is ours");
    }

    fn log(&self) -> BTreeMap<i64, Witness> {
        let text = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let line = |line: &str| {
            let numbers: Vec<i64> = line.split(' ').map(|number| number.parse().expect("numbers")).collect();
            let [pid, parent, code, forked, ended] = numbers[..] else { panic!("not a line of the log: {line}") };
            (pid, Witness { parent, code, forked, ended })
        };
        whole.lines().map(line).collect()
    }
}

impl Drop for Family<'_> {
    fn drop(&mut self) {
        self.end();
        let _ = self.child.wait();
    }
}

/// `agentsight attach`, after it said that it traces.
struct Attached {
    stub: Child,
    output: std::path::PathBuf,
}

impl Attached {
    #[track_caller]
    fn start(agentsight: &Agentsight, pid: u32, options: &[&str]) -> Self {
        let place = |name: &str| agentsight.directory().join(&format!("{pid}-{name}"));
        let (output, said) = (place("trace.jsonl"), place("said"));
        let pid = pid.to_string();
        let mut command = agentsight.command(["attach", "--no-tree", "--pid", &pid, "--output", path_text(&output)]);
        let said_to = File::create(&said).expect("the directory is ours");
        let stub = command
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said_to)
            .spawn()
            .expect("agentsight is built");
        wait_for("the attach", LIMIT, || {
            fs::read_to_string(&said).is_ok_and(|text| text.contains("tracing process")).then_some(())
        });
        Self { stub, output }
    }

    #[track_caller]
    fn read_when_over(self, end: impl FnOnce()) -> Trace {
        self.read_when_over_by(|_| end())
    }

    #[track_caller]
    fn read_when_over_by(mut self, end: impl FnOnce(Pid)) -> Trace {
        end(Pid::from_raw(i32::try_from(self.stub.id()).expect("a process id")));
        let status = wait_for("the end of the attach", LIMIT, || self.stub.try_wait().expect("it is ours"));
        assert_eq!(status.code(), Some(0));
        let text = fs::read_to_string(&self.output).expect("spans were written");
        Trace::from_json_lines(&text).expect("they are OTLP/JSON")
    }
}

fn is_true(span: &Span, name: &str) -> bool {
    span.attributes.get(name) == Some(&Value::Bool(true))
}

fn boottime() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has this clock");
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}
