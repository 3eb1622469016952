//! The dashboards as files: their panels and what these ask.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One question of one panel.
#[derive(Debug)]
pub(crate) struct Question {
    /// Dashboard and panel, for people.
    pub place: String,
    /// As it stands in the file.
    pub text: String,
}

/// `dashboards/`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

/// All dashboards, each with its file's name.
pub(crate) fn all() -> Vec<(String, Value)> {
    let files = fs::read_dir(folder()).expect("the dashboards are part of the repository").flatten();
    let boards = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
    boards
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a file of the repository can be read");
            let board = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.display().to_string(), board)
        })
        .collect()
}

/// What the panels ask a data source of this type, by the field that holds its language.
pub(crate) fn questions(source: &str, field: &str) -> Vec<Question> {
    let mut all_of_it = Vec::new();
    for (_, board) in all() {
        for panel in board["panels"].as_array().expect("a dashboard has panels") {
            let place = format!("{}, {}", board["title"], panel["title"]);
            for target in panel["targets"].as_array().into_iter().flatten() {
                if target["datasource"]["type"] == source {
                    let text = target[field].as_str().unwrap_or_else(|| panic!("{place} asks nothing"));
                    all_of_it.push(Question { place: place.clone(), text: text.to_owned() });
                }
            }
        }
    }
    assert!(all_of_it.len() > 5, "too few questions: {all_of_it:?}");
    all_of_it
}

/// The lines in TraceQL of the pages in `docs/`.
pub(crate) fn questions_of_pages() -> Vec<Question> {
    let pages = fs::read_dir(folder().join("../docs")).expect("the pages are part of the repository").flatten();
    let mut all_of_it = Vec::new();
    for page in pages.map(|page| page.path()).filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let text = fs::read_to_string(&page).expect("a file of the repository can be read");
        for block in text.split("```traceql\n").skip(1) {
            let lines = block.lines().take_while(|line| *line != "```");
            let place = page.display().to_string();
            all_of_it.extend(lines.map(|line| Question { place: place.clone(), text: line.to_owned() }));
        }
    }
    assert!(!all_of_it.is_empty(), "no page asks anything in TraceQL");
    all_of_it
}

#[test]
fn uids_are_stable_and_every_panel_says_what_it_shows() {
    let uids: BTreeSet<String> = all().iter().map(|(_, board)| board["uid"].to_string()).collect();
    let expected = ["\"agentsight-health\"", "\"agentsight-overview\"", "\"agentsight-session\""];
    assert_eq!(uids, expected.map(str::to_owned).into());
    for (file, board) in all() {
        let panels = board["panels"].as_array().expect("a dashboard has panels");
        let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels.len(), "two panels of {file} have one id");
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{file}: {}", panel["title"]);
        }
    }
}

#[test]
fn every_data_source_that_a_panel_names_is_provisioned() {
    let text = fs::read_to_string(folder().join("provisioning/datasources/agentsight.yaml")).expect("it is there");
    let provisioned: Value = serde_yaml_ng::from_str(&text).expect("it is YAML");
    let uids: BTreeSet<&str> = provisioned["datasources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|source| source["uid"].as_str())
        .collect();
    for (file, board) in all() {
        for panel in board["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let uid = target["datasource"]["uid"].as_str().expect("a target names its data source");
                assert!(uids.contains(uid), "{file}, {}: no data source {uid}", panel["title"]);
            }
        }
    }
}
