//! `docker-compose.yml` is what it promises: valid, pinned, on loopback, without privileges that are not named; and the
//! sample agent's own spans and the kernel's are one trace. That the image works is `docker`'s to prove.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, path_text, without_opentelemetry};
use agentsight_tests::backend::cached;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::run;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn compose_finds_the_file_valid_with_the_committed_environment() {
    let plugin = run(Command::new("sh").args(["-c", "docker compose version"]), LIMIT).code() == 0;
    let mut compose = if plugin {
        let mut docker = Command::new("docker");
        docker.arg("compose");
        docker
    } else {
        Command::new(need_program("docker-compose", "docker-compose"))
    };
    compose.current_dir(repository()).env_remove("COMPOSE_PROFILES");
    let finished = run(compose.arg("config"), LIMIT).expect_code(0);
    let settled: Value = serde_yaml_ng::from_str(&finished.stdout).expect("it answers in YAML");
    let names: BTreeSet<&str> = services(&settled).map(|(name, _)| name).collect();
    let both = ["agentsight", "collector", "grafana", "jaeger", "prometheus", "sample-agent", "tempo"];
    assert_eq!(names, both.into(), "the committed .env starts both backends");
}

#[test]
fn images_are_pinned_ports_are_on_loopback_and_nothing_is_privileged() {
    let file = file();
    for (name, service) in services(&file) {
        let image = service["image"].as_str().unwrap_or_default();
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        assert!(
            tag.contains('.') && tag.chars().any(|letter| letter.is_ascii_digit()),
            "{name}: {image} is not pinned"
        );
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:")), "{name}: {port}");
        }
        assert!(service["privileged"].is_null(), "{name} is privileged");
        if name != "sample-agent" {
            assert!(service["healthcheck"]["test"].is_array(), "{name} cannot say how it is");
        }
    }
}

/// What `tests/programs/docker_image.sh` proved to be enough.
#[test]
fn agentsight_has_the_capabilities_that_the_test_of_its_image_has() {
    let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/docker_image.sh"));
    let script = script.expect("it is part of the repository");
    let proven: BTreeSet<&str> =
        script.split("--cap-add ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    let file = file();
    let agentsight = &file["services"]["agentsight"];
    let given = agentsight["cap_add"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(proven, given);
    assert_eq!((&agentsight["cap_drop"][0], &agentsight["pid"]), (&"ALL".into(), &"host".into()));
}

#[test]
fn every_file_that_is_mounted_is_there() {
    let file = file();
    let mut count = 0;
    for (name, service) in services(&file) {
        for volume in service["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if let Some(source) = volume.split(':').next().filter(|source| source.starts_with("./")) {
                assert!(repository().join(source).exists(), "{name} mounts {source}, which is not there");
                count += 1;
            }
        }
    }
    assert!(count > 5, "only {count} files are mounted");
}

#[test]
fn no_file_of_the_stack_holds_a_secret() {
    for file in ["docker-compose.yml", ".env"] {
        let text = fs::read_to_string(repository().join(file)).expect("it is part of the repository");
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let is_key = ["KEY", "TOKEN", "HEADERS", "PASSWORD"].iter().any(|word| line.contains(word));
            assert!(!is_key || line.trim_end().ends_with(":-}"), "{file}: {line}");
        }
    }
}

#[test]
fn the_sample_agents_own_spans_and_the_kernels_are_one_trace() {
    let agentsight = Agentsight::as_root();
    let backend = Receiver::start();
    let mut command = Command::new(binary());
    let agent = repository().join("examples/sdk_agent/agent.py");
    command.args(["run", "--no-tree", "--"]).arg(cached("python-sdk")).arg(path_text(&agent));
    without_opentelemetry(&mut command);
    command.env("AGENTSIGHT_STORE", agentsight.directory().join("store")).current_dir(agentsight.directory().path());
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", backend.endpoint()).env("OTEL_SERVICE_NAME", "sample-agent");
    let finished = run(&mut command, LIMIT).expect_code(0);
    let id = finished.stdout.trim().strip_prefix("trace ").expect("it prints the id of its trace");

    // The agent itself; its task and four tools; the four programs and what these start.
    let trace = wait_for("the whole trace", LIMIT, || {
        Some(backend.trace().of_id(id)).filter(|trace| {
            trace.faults(&[]).is_empty()
                && trace.spans.iter().any(|span| span.name.starts_with("execute_tool run_tests"))
        })
    });
    for tool in ["write_file", "read_file", "search", "run_tests"] {
        let span = trace.spans.iter().find(|span| span.name == format!("execute_tool {tool}"));
        let span = span.unwrap_or_else(|| panic!("no span of the tool {tool} in\n{trace}"));
        let below = trace.children(&span.id);
        assert_eq!(below.len(), 1, "below {tool} is the program that the kernel saw:\n{trace}");
        assert_eq!(below[0].text("agentsight.object.type"), "process", "{trace}");
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file() -> Value {
    let text = fs::read_to_string(repository().join("docker-compose.yml")).expect("it is part of the repository");
    serde_yaml_ng::from_str(&text).expect("it is YAML")
}

fn services(file: &Value) -> impl Iterator<Item = (&str, &Value)> {
    file["services"].as_object().into_iter().flatten().map(|(name, service)| (name.as_str(), service))
}
