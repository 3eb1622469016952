//! Contents from the kernel to the answer: what was read, what was sent, and the edge between the two with its evidence.

use std::fs;
use std::path::{Path, PathBuf};

use agentsight_tests::agentsight::{Agentsight, contains, path_text};
use agentsight_tests::trace::{Link, Span, Trace};

/// What `refresh.sh` writes first; the agent reads it before it is written again.
const AGENT: &str = r#"
import json, os, socket, subprocess
listener = socket.create_server(("127.0.0.1", 0))
server = os.fork()
if server == 0:
    connection, _ = listener.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    os._exit(0)
folder = json.load(open("config.json"))["priority_folder_id"]
subprocess.run(["sh", "-c", "echo '{}' > config.tmp; mv config.tmp config.json"])
client = socket.create_connection(listener.getsockname())
client.sendall(f"POST /tickets/1/move?folder={folder} HTTP/1.1\r\nAuthorization: Bearer SECRET\r\n\r\n".encode())
client.recv(4096)
os.waitpid(server, 0)
"#;
const SECRET: &str = "sk-ant-api03-Qw9Zx8Wc3Vb6Nm1Ty7Kp4Rt2";

/// The agent's run with this id in its configuration, whose text is returned too.
fn reference_case(agentsight: &Agentsight, id: &str) -> (Trace, String) {
    let folder: PathBuf = agentsight.directory().join("agent");
    fs::create_dir(&folder).expect("the directory is ours");
    let config = format!("{{\"spam_folder_id\": 12, \"priority_folder_id\": {id}}}\n");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("the directory is ours");
    write("refresh.sh", &format!("printf '%s' '{config}' > config.tmp\nmv config.tmp config.json\n"));
    write("agent.py", &AGENT.replace("SECRET", SECRET));
    let script = format!("cd {} && sh refresh.sh && exec /usr/bin/python3 agent.py", path_text(&folder));
    let capture = ["--capture", "config.json", "--capture-net", "127.0.0.1", "--content-on-spans", "--no-daemon"];
    let traced = agentsight.trace(&capture, &["sh", "-c", &script]);
    assert_eq!(traced.finished.code(), 0, "{}", traced.finished.stderr);
    assert_eq!(fs::read_to_string(folder.join("config.json")).expect("it is there"), "{}\n", "it was written again");
    (traced.trace, config)
}

#[track_caller]
fn only<'a>(trace: &'a Trace, what: &str, is_it: impl Fn(&Span) -> bool) -> &'a Span {
    let found: Vec<&Span> = trace.spans.iter().filter(|span| is_it(span)).collect();
    assert_eq!(found.len(), 1, "{what}:\n{trace}");
    found[0]
}

/// The agent's read of its configuration, and its request.
fn read_and_request(trace: &Trace) -> (&Span, &Span) {
    let is = |span: &Span, action: &str| span.text("agentsight.action") == action;
    let read = only(trace, "one read of config.json", |it| is(it, "read") && it.name.contains("config.json"));
    let request = only(trace, "one request", |span| {
        is(span, "write") && optional(span, "agentsight.content.text").is_some_and(|text| text.starts_with("POST"))
    });
    (read, request)
}

fn optional<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    span.attributes.contains_key(name).then(|| span.text(name))
}

#[track_caller]
fn flow<'a>(trace: &Trace, from: &Span, to: &'a Span) -> &'a Link {
    let found = to.links.iter().find(|link| link.span_id == from.id && link.is("flow"));
    found.unwrap_or_else(|| panic!("no flow from {} to {}:\n{trace}", from.name, to.name))
}

#[test]
fn an_id_of_24_characters_leads_from_the_version_that_was_read_to_the_request() {
    let agentsight = Agentsight::as_root();
    let (trace, config) = reference_case(&agentsight, "\"fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty\"");
    let (read, request) = read_and_request(&trace);
    assert_eq!(read.text("agentsight.content.text"), config, "what was read, not what is there now");
    assert_eq!(read.int("agentsight.content.bytes"), Some(config.len() as i64));
    assert_eq!(request.int("agentsight.content.redactions"), Some(1));
    assert!(request.text("agentsight.content.text").contains("Bearer ****"), "{trace}");

    let found = flow(&trace, read, request);
    let text = |name: &str| found.attributes[name].to_string();
    assert!(text("agentsight.link.confidence").parse::<f64>().is_ok_and(|sure| sure >= 0.95), "{trace}");
    assert_eq!(text("agentsight.link.match.kind").trim_matches('"'), "token");
    assert_eq!(text("agentsight.link.match.excerpt").trim_matches('"'), "fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty");
    let place = |text: &str| text.find("fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty").expect("it is there").to_string();
    assert_eq!(text("agentsight.link.match.source.offset"), place(&config));
    assert_eq!(text("agentsight.link.match.sink.offset"), place(request.text("agentsight.content.text")));

    let why = agentsight.run(["why", &request.id]).expect_code(0).stdout;
    assert!(why.contains("`fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty` at"), "{why}");
    let shown = agentsight.run(["content", &read.id, "--raw"]).expect_code(0).stdout;
    assert_eq!(shown, config);
}

#[test]
fn a_number_under_a_like_name_raises_the_flow_and_is_never_sure() {
    let agentsight = Agentsight::as_root();
    let (trace, _) = reference_case(&agentsight, "7");
    let (read, request) = read_and_request(&trace);
    let found = flow(&trace, read, request);
    let text = |name: &str| found.attributes[name].to_string();
    assert!(text("agentsight.link.confidence").parse::<f64>().is_ok_and(|sure| (0.6..=0.8).contains(&sure)), "{trace}");
    assert!(text("agentsight.link.match.excerpt").contains("priority_folder_id"), "{trace}");
    assert!(text("agentsight.link.match.sink.excerpt").contains("folder=7"), "{trace}");
}

#[test]
fn a_secret_that_is_sent_is_in_no_span_no_recording_and_not_in_the_store() {
    let agentsight = Agentsight::as_root();
    let folder = agentsight.directory().join("agent");
    fs::create_dir(&folder).expect("the directory is ours");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("the directory is ours");
    write("config.json", "{\"priority_folder_id\": 7}\n");
    write("agent.py", &AGENT.replace("SECRET", SECRET));
    let script = format!("cd {} && exec /usr/bin/python3 agent.py", path_text(&folder));
    // The agent's own text has it: that is not captured.
    let options = ["--capture-net", "127.0.0.1", "--content-on-spans", "--no-daemon"];
    let traced = agentsight.record(&options, &[], &["sh", "-c", &script]);
    let (_, request) = read_and_request(&traced.trace);
    assert!(request.text("agentsight.content.text").contains("Bearer ****"), "{}", traced.trace);
    assert!(!agentsight.store_holds(SECRET), "it is in the store");
    for file in files_of(agentsight.directory().path()) {
        let has_it = contains(&fs::read(&file).expect("it is ours"), SECRET.as_bytes());
        assert!(!has_it || file.starts_with(&folder), "it is in {}", file.display());
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is ours").map(|entry| entry.expect("it can be read").path());
    entries
        .flat_map(|path| if path.is_dir() { files_of(&path) } else { vec![path] })
        .filter(|it| it.is_file())
        .collect()
}
