//! A container of a real Docker Engine: its processes, and they alone, say which container they are in.
//!
//! Not among the tests that `make test` runs: the engine is installed and started by `make test-docker`.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, path_text};
use agentsight_tests::backend::cached;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::directory::Directory;
use agentsight_tests::programs::path;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::{Finished, run};
use agentsight_tests::trace::{Span, Trace, Value};
use nix::sys::stat::Mode;

/// What `docker.sh` exits with when its engine ended at once, and when it is not there after 20 s.
const NOT_STARTED: i32 = 97;
const NOT_READY: i32 = 98;
const LIMIT: Duration = Duration::from_secs(120);
/// Of a build from nothing, crates fetched, on a small machine that is busy.
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The engine itself is traced, so that everything it starts is a descendant of the command.
#[test]
fn the_processes_of_a_container_and_no_others_say_its_id_runtime_and_image() {
    let agentsight = Agentsight::as_root();
    let output = agentsight.directory().join("trace.jsonl");
    let tracing = [path_text(binary()), "run", "--no-tree", "--linger", "5s", "--output", path_text(&output), "--"];
    let mut engine = engine(agentsight.directory(), &tracing);
    let finished = run(engine.env("AGENTSIGHT_STORE", agentsight.directory().join("store")), LIMIT);
    let id = container_id(&finished, agentsight.directory());

    let trace = agentsight.read(&output, &finished);
    trace.assert_whole();
    assert_eq!(told_inside(&trace, &id), told(&[17, 18]));
    let in_it = trace.spans.iter().filter(|span| resource(span, "container.id") == id);
    let strangers: Vec<&str> =
        in_it.map(|span| span.name.as_str()).filter(|name| !["inside", "runc"].contains(name)).collect();
    assert!(strangers.is_empty(), "outside of the container: {strangers:?}");
    let engine = trace.spans.iter().find(|span| span.name == "dockerd").expect("the engine is traced");
    assert!(!engine.resource.contains_key("container.id"), "the engine runs on the host");
}

/// The engine's files are in mounts of its own here, so the image has no name that the collector could find.
#[test]
fn a_container_that_is_attached_to_says_its_id_and_runtime() {
    let agentsight = Agentsight::as_root();
    let here = agentsight.directory();
    let gate = here.join("gate");
    nix::unistd::mkfifo(&gate, Mode::S_IRUSR | Mode::S_IWUSR).expect("the directory is ours");
    let mut engine = engine(here, &[]);
    let engine = thread::spawn(move || run(&mut engine, LIMIT));
    let pid = wait_for("the container, or the end of the engine", LIMIT, || {
        fs::read_to_string(here.join("pid")).ok().or_else(|| engine.is_finished().then(String::new))
    });
    if pid.is_empty() {
        let finished = engine.join().expect("it ran in time");
        panic!("the container did not start: {}", container_id(&finished, here));
    }

    let (output, said) = (here.join("trace.jsonl"), here.join("said"));
    let options = ["attach", "--no-tree", "--output", path_text(&output), "--pid", pid.trim()];
    let mut attach = agentsight.command(options);
    attach.stdin(Stdio::null()).stderr(File::create(&said).expect("the directory is ours"));
    let mut attach = attach.spawn().expect("agentsight is built");
    wait_for("the attach", LIMIT, || {
        fs::read_to_string(&said).is_ok_and(|text| text.contains("tracing process")).then_some(())
    });
    drop(OpenOptions::new().write(true).open(&gate).expect("the container waits at it"));
    let _ = wait_for("the end of the attach", LIMIT, || attach.try_wait().expect("it is ours"));
    let id = container_id(&engine.join().expect("the engine ends in time"), here);

    let text = fs::read_to_string(&output).expect("spans were written");
    let trace = Trace::from_json_lines(&text).expect("they are OTLP/JSON");
    let without_image = told(&[17, 18]).map(|span| (span.0, span.1, String::new()));
    assert_eq!(told_inside(&trace, &id), without_image, "{trace}");
}

/// The image is built by `packaging/Dockerfile`, and has what docker-compose.yml gives it, no more.
#[test]
fn agentsight_in_a_container_of_its_own_image_traces_another_container_and_says_its_id() {
    let agentsight = Agentsight::as_root();
    let sources = agentsight.directory().join("sources");
    fs::create_dir_all(sources.join("target/package")).expect("the directory is ours");
    fs::create_dir_all(sources.join("packaging")).expect("the directory is ours");
    for file in [".dockerignore", "packaging/Dockerfile", "target/package/agentsight"] {
        fs::copy(repository().join(file), sources.join(file))
            .unwrap_or_else(|error| panic!("{file}: {error}; `make test-docker` makes it"));
    }
    let (engine, trace) = traced_by_an_image(&agentsight, &[path_text(&sources)], LIMIT);
    assert_traced(&engine, &agentsight, &trace);
}

/// The image is built by the `Dockerfile`, with its own stages and commands, so this takes minutes. In place of
/// `rust:…-slim-bookworm`, which the test cannot pull, stands a Debian of the same release with this machine's toolchain,
/// whose environment says not to optimize.
#[test]
fn the_image_that_is_built_from_source_traces_another_container_and_says_its_id() {
    let agentsight = Agentsight::as_root();
    let mut rustc = Command::new("rustc");
    let sysroot = run(rustc.args(["--print", "sysroot"]), LIMIT).expect_code(0).stdout;
    let (sources, debian) = (repository(), cached("debian"));
    let arguments = [path_text(&sources), path_text(&debian), sysroot.trim()];
    let (engine, trace) = traced_by_an_image(&agentsight, &arguments, BUILD_LIMIT);
    assert_traced(&engine, &agentsight, &trace);
}

/// What `docker_image.sh` came to with these arguments behind the program, and the path of the trace that it wrote.
fn traced_by_an_image(agentsight: &Agentsight, arguments: &[&str], limit: Duration) -> (Finished, PathBuf) {
    let here = agentsight.directory();
    nix::unistd::mkfifo(&here.join("gate"), Mode::S_IRUSR | Mode::S_IWUSR).expect("the directory is ours");
    let mut engine = engine_with("docker_image.sh", here, &[]);
    (run(engine.args(arguments), limit), here.join("trace.jsonl"))
}

/// That the program in the other container is there, both images of it.
#[track_caller]
fn assert_traced(engine: &Finished, agentsight: &Agentsight, trace: &Path) {
    let id = container_id(engine, agentsight.directory());
    let text = fs::read_to_string(trace).expect("spans were written");
    let trace = Trace::from_json_lines(&text).expect("they are OTLP/JSON");
    let inside = told_inside(&trace, &id);
    let of_docker = [(Some(17), "docker"), (Some(18), "docker")];
    let codes_and_runtime: Vec<_> = inside.iter().map(|(code, runtime, _)| (*code, runtime.as_str())).collect();
    assert_eq!(codes_and_runtime, of_docker, "{trace}");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `docker.sh`, below `prefix`, in mounts of its own.
fn engine(here: &Directory, prefix: &[&str]) -> Command {
    engine_with("docker.sh", here, prefix)
}

/// A script that starts an engine, below `prefix`, in mounts of its own.
fn engine_with(script: &str, here: &Directory, prefix: &[&str]) -> Command {
    for (program, package) in [("dockerd", "docker.io"), ("docker", "docker.io"), ("runc", "runc")] {
        let _ = need_program(program, package);
    }
    let inside: PathBuf = here.join("inside");
    let mut compiler = Command::new(need_program("gcc", "gcc"));
    compiler.args(["-static", "-o"]).arg(&inside).arg(path("odd").join("inside.c"));
    let _ = run(&mut compiler, LIMIT).expect_code(0);
    let mut command = Command::new(need_program("unshare", "util-linux"));
    command.args(["--mount", "--propagation", "private"]).args(prefix);
    command.arg("sh").args([path(script), inside]).current_dir(here.path());
    command
}

/// The id that `docker.sh` has printed, the container having ended with 17.
#[track_caller]
fn container_id(finished: &Finished, here: &Directory) -> String {
    if [NOT_STARTED, NOT_READY].contains(&finished.code()) {
        let log = fs::read_to_string(here.join("dockerd.log")).unwrap_or_default();
        panic!("THE DOCKER TEST DID NOT RUN: dockerd does not work on this machine; it said\n{log}");
    }
    let said = format!("{}\n{}", finished.stdout, finished.stderr);
    let (code, id) = finished.stdout.trim().split_once(' ').unwrap_or_else(|| panic!("no code and id in {said}"));
    assert_eq!((finished.code(), code, id.len()), (0, "17", 64), "{said}");
    id.to_owned()
}

/// Exit code, runtime and image of a span.
type Told = (Option<i64>, String, String);

fn told(codes: &[i64; 2]) -> [Told; 2] {
    codes.map(|code| (Some(code), "docker".to_owned(), "example/odd".to_owned()))
}

/// What the program in the container says, in the order of the exit codes.
fn told_inside(trace: &Trace, id: &str) -> Vec<Told> {
    let inside = trace.spans.iter().filter(|span| span.name == "inside" && resource(span, "container.id") == id);
    let mut told: Vec<Told> = inside
        .map(|span| {
            let (runtime, image) = (resource(span, "container.runtime.name"), resource(span, "container.image.name"));
            (span.int("process.exit.code"), runtime.to_owned(), image.to_owned())
        })
        .collect();
    told.sort();
    told
}

fn resource<'a>(span: &'a Span, name: &str) -> &'a str {
    match span.resource.get(name) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}
