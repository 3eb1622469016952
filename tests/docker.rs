//! A container of a real Docker Engine: its processes, and they alone, say which container they are in.
//!
//! Not among the tests that `make test` runs: the engine is installed and started by `make test-docker`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::programs::path;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::run;
use agentsight_tests::trace::{Span, Trace, Value};

/// What `docker.sh` exits with when its engine ended at once, and when it is not there after 20 s.
const NOT_STARTED: i32 = 97;
const NOT_READY: i32 = 98;

/// The engine itself is traced, so that everything it starts is a descendant of the command.
#[test]
fn the_processes_of_a_container_and_no_others_say_its_id_runtime_and_image() {
    for (program, package) in [("dockerd", "docker.io"), ("docker", "docker.io"), ("runc", "runc")] {
        let _ = need_program(program, package);
    }
    let agentsight = Agentsight::as_root();
    let (program, output) = (compile(&agentsight), agentsight.directory().join("trace.jsonl"));
    let traced = agentsight.command(
        ["run", "--no-tree", "--output", path_text(&output), "--linger", "5s", "--", "sh"]
            .into_iter()
            .chain([path_text(&path("docker.sh")), path_text(&program)]),
    );
    // Mounts of the test are its own; the engine's directory is one of them.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(traced.get_program()).args(traced.get_args());
    for (name, value) in traced.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(agentsight.directory().path());
    let finished = run(&mut command, Duration::from_secs(120));
    if [NOT_STARTED, NOT_READY].contains(&finished.code()) {
        let log = fs::read_to_string(agentsight.directory().join("dockerd.log")).unwrap_or_default();
        panic!("THE DOCKER TEST DID NOT RUN: dockerd does not work on this machine; it said\n{log}");
    }
    let finished = finished.expect_code(0);
    let (code, id) = finished.stdout.trim().split_once(' ').expect("the script prints code and id");
    assert_eq!((code, id.len()), ("17", 64), "{}", finished.stderr);

    let trace = agentsight.read(&output, &finished);
    trace.assert_whole();
    let inside = spans_in(&trace, id);
    let told = |span: &Span| {
        let of = |name: &str| span.resource.get(name).map_or_else(String::new, Value::to_string);
        let (runtime, image) = (of("container.runtime.name"), of("container.image.name"));
        (span.text("process.executable.path").to_owned(), span.int("process.exit.code"), runtime, image)
    };
    let docker = ("\"docker\"".to_owned(), "\"example/odd\"".to_owned());
    let of = |code| ("/inside".to_owned(), Some(code), docker.0.clone(), docker.1.clone());
    let mut seen: Vec<_> = inside.iter().map(|span| told(span)).filter(|span| span.0 == "/inside").collect();
    seen.sort();
    assert_eq!(seen, [of(17), of(18)]);
    let strangers: Vec<&str> =
        inside.iter().map(|span| span.name.as_str()).filter(|name| !["inside", "runc"].contains(name)).collect();
    assert!(strangers.is_empty(), "outside of the container: {strangers:?}");
    let engine = trace.spans.iter().find(|span| span.name == "dockerd").expect("the engine is traced");
    assert!(!engine.resource.contains_key("container.id"), "the engine runs on the host");
}

fn spans_in<'a>(trace: &'a Trace, id: &str) -> Vec<&'a Span> {
    let id = Value::Text(id.to_owned());
    trace.spans.iter().filter(|span| span.resource.get("container.id") == Some(&id)).collect()
}

fn compile(agentsight: &Agentsight) -> std::path::PathBuf {
    let program = agentsight.directory().join("inside");
    let source: &Path = &path("odd").join("inside.c");
    let mut compiler = Command::new(need_program("gcc", "gcc"));
    let compiled = run(compiler.args(["-static", "-o"]).arg(&program).arg(source), Duration::from_secs(60));
    let _ = compiled.expect_code(0);
    program
}
