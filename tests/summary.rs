//! What `run` ends with: a tree for people, JSON for programs, neither unless somebody sees it or asked for it.

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::run::Finished;
use agentsight_tests::terminal::Terminal;
use serde_json::Value;

#[test]
fn the_tree_says_what_was_read_and_who_had_written_it() {
    let finished = copied(&["--tree"]);
    let line = |wanted: &str| finished.stderr.lines().find(|line| line.contains(wanted)).unwrap_or_default().to_owned();
    assert!(line("read note.txt 6 B").contains("← written by sh"), "{}", finished.stderr);
    assert!(line("write copy.txt 6 B").contains("note.txt"), "{}", finished.stderr);
    assert!(!finished.stderr.contains('\x1b'), "colours in a pipe:\n{}", finished.stderr);
}

#[test]
fn json_says_the_same_for_programs() {
    let finished = copied(&["--format", "json"]);
    let json = finished.stderr.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let summary: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}:\n{}", finished.stderr));
    let processes = summary["processes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let cat = processes.iter().find(|it| it["name"] == "cat").unwrap_or_else(|| panic!("{summary:#}"));
    assert_eq!((&cat["exit_code"], &cat["args"][0]), (&Value::from(0), &Value::from("cat")));
    let did = cat["did"].as_array().map(Vec::as_slice).unwrap_or_default();
    let read = did.iter().find(|it| it["target"] == "note.txt").unwrap_or_else(|| panic!("{summary:#}"));
    assert_eq!((&read["action"], &read["bytes_in"]), (&Value::from("read"), &Value::from(6)));
    assert_eq!((&read["causes"][0]["type"], &read["causes"][0]["bytes"]), (&Value::from("file"), &Value::from(6)));
}

#[test]
fn nothing_is_said_where_nobody_looks() {
    let finished = copied(&[]);
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_terminal_gets_the_tree_in_colours_unless_its_user_wants_none() {
    let on_terminal = |no_color: &str| {
        let agentsight = Agentsight::as_root();
        let mut command = agentsight.command(["run", "--", "true"]);
        command.env("NO_COLOR", no_color);
        Terminal::start(&command).end().expect_code(0).stdout
    };
    let coloured = on_terminal("");
    assert!(coloured.contains("nothing lost") && coloured.contains("\x1b[2m"), "{coloured}");
    let plain = on_terminal("1");
    assert!(plain.contains("nothing lost") && !plain.contains('\x1b'), "{plain}");
}

#[test]
fn json_and_no_tree_contradict_each_other() {
    let finished = Agentsight::as_root().run(["run", "--no-tree", "--format", "json", "--", "true"]).expect_code(2);
    assert!(finished.stderr.contains("--no-tree") && finished.stderr.contains("--format"), "{}", finished.stderr);
}

/// A shell writes a file of 6 bytes, and `cat` copies it to another.
fn copied(options: &[&str]) -> Finished {
    let agentsight = Agentsight::as_root();
    let (note, copy) = (agentsight.directory().join("note.txt"), agentsight.directory().join("copy.txt"));
    let script = format!("echo hello > {note}; cat {note} > {copy}", note = path_text(&note), copy = path_text(&copy));
    let program = ["--", "sh", "-c", &script];
    agentsight.run(["run"].iter().chain(options).chain(&program)).expect_code(0)
}
