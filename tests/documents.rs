//! Every command of the pages in `docs/` is run here as it stands, or says why not; the Kubernetes manifest is of the
//! published schemas, and its Collector starts.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, without_opentelemetry};
use agentsight_tests::backend::cached;
use agentsight_tests::jaeger::Jaeger;
use agentsight_tests::otelcol::{Otelcol, Settings};
use agentsight_tests::run::run;
use serde::Deserialize;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

/// A fenced block of shell commands.
struct Block {
    /// Page and line.
    place: String,
    /// The comment before it: `run`, or `not run: why`.
    mark: String,
    text: String,
}

#[test]
fn every_block_of_commands_says_whether_it_is_run_and_why_not() {
    let blocks = blocks();
    assert!(blocks.len() > 10, "only {} blocks were found", blocks.len());
    for block in blocks {
        let reason = block.mark.strip_prefix("not run: ").is_some_and(|why| why.len() > 10);
        assert!(block.mark == "run" || reason, "{}: no mark `run` or `not run: why`: {:?}", block.place, block.mark);
    }
}

/// In a folder that has what the repository has. A Jaeger stands for every backend on this machine.
#[test]
fn the_commands_of_the_pages_work() {
    let agentsight = Agentsight::as_root();
    let jaeger = Jaeger::start();
    let here = agentsight.directory().join("here");
    fs::create_dir(&here).expect("the directory is ours");
    symlink(repository().join("examples"), here.join("examples")).expect("the directory is ours");
    let folder = binary().parent().expect("a program is in a folder");
    let mut path = OsString::from(folder);
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let grpc = jaeger.grpc_endpoint().replace("http://", "");
    let mut count = 0;
    for block in blocks().into_iter().filter(|block| block.mark == "run") {
        let text = block.text.replace("localhost:4317", &grpc);
        let text = text.replace("localhost:16686", &format!("127.0.0.1:{}", jaeger.query_port()));
        let mut shell = Command::new("sh");
        shell.args(["-euc", &text]).current_dir(&here);
        without_opentelemetry(&mut shell);
        shell.env("PATH", &path).env("AGENTSIGHT_STORE", agentsight.directory().join("store"));
        // Of a port other than the standard one AgentSight takes OTLP/HTTP.
        shell.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let finished = run(&mut shell, LIMIT);
        assert_eq!(finished.code(), 0, "{}:\n{}\n{}{}", block.place, block.text, finished.stdout, finished.stderr);
        count += 1;
    }
    assert!(count > 5, "only {count} blocks are run");
}

#[test]
fn the_kubernetes_manifest_is_of_the_published_schemas() {
    let mut validate = Command::new(cached("kubernetes"));
    validate.arg("--strict").arg(manifest());
    let finished = run(&mut validate, LIMIT).expect_code(0);
    assert_eq!(finished.stdout.matches("passed").count(), 6, "{}{}", finished.stdout, finished.stderr);
}

/// The processor `k8s_attributes`, which asks a cluster, gives its place to one that does nothing.
#[test]
fn the_collector_of_the_kubernetes_manifest_starts() {
    let agentsight = Agentsight::without_rights();
    let collector = config_map("collector.yaml");
    let settings = Settings::from_text(&collector)
        .in_place_of("processors", "k8s_attributes", "batch", json!({}))
        .with("/extensions/file_storage/directory", json!("${env:OTELCOL_STORAGE}"));
    let collector = Otelcol::start(settings, &[("GATEWAY_ENDPOINT", "127.0.0.1:1")], agentsight.directory());
    collector.assert_up_to_date();
}

#[test]
fn the_daemon_of_the_kubernetes_manifest_takes_its_settings() {
    let agentsight = Agentsight::without_rights();
    let file = agentsight.directory().join("agentsight.yaml");
    fs::write(&file, config_map("agentsight.yaml")).expect("the directory is ours");
    let mut daemon = agentsight.command(["daemon", "--check", "--config"]);
    let _ = run(daemon.arg(&file), LIMIT).expect_code(0);
}

/// A file of the manifest's ConfigMap.
fn config_map(name: &str) -> String {
    let text = fs::read_to_string(manifest()).expect("it is part of the repository");
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    let documents: Vec<Value> = documents.map(|one| Value::deserialize(one).expect("it is YAML")).collect();
    let map = documents.iter().find(|document| document["kind"] == "ConfigMap").expect("the manifest has a ConfigMap");
    map["data"][name].as_str().unwrap_or_else(|| panic!("no {name} in the ConfigMap")).to_owned()
}

/// All blocks of shell commands of all pages.
fn blocks() -> Vec<Block> {
    let pages = fs::read_dir(repository().join("docs")).expect("the pages are part of the repository").flatten();
    let pages = pages.map(|page| page.path()).filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages.flat_map(|page| blocks_of(&page)).collect()
}

fn blocks_of(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).expect("a page can be read");
    let mut blocks = Vec::new();
    let mut mark = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line == "```sh" {
            let inside: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let place = format!("{}:{}", page.display(), number + 1);
            blocks.push(Block { place, mark: mark.clone(), text: inside.join("\n") });
        }
        let comment = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        mark = comment.unwrap_or_default().to_owned();
    }
    blocks
}

fn manifest() -> PathBuf {
    repository().join("docs/kubernetes/agentsight.yaml")
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository is there")
}
