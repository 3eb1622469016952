//! Makes two tests of every file in `scenarios/`, one that traces it and one that replays its recording, so that one that is added is run without a word said anywhere else.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=scenarios");
    let folder = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("scenarios");
    let files = fs::read_dir(&folder).expect("the scenarios are part of the repository");
    let mut names: Vec<String> = files
        .filter_map(|file| file.expect("the repository can be read").file_name().into_string().ok())
        .filter(|name| name.ends_with(".scenario"))
        .collect();
    names.sort();
    let (mut tests, mut recordings) = (String::new(), String::new());
    for file in &names {
        let name =
            file.trim_end_matches(".scenario").replace(|character: char| !character.is_ascii_alphanumeric(), "_");
        writeln!(tests, "#[test]\nfn scenario_{name}() {{\n    holds({file:?});\n}}\n").expect("a String takes all");
        writeln!(recordings, "#[test]\nfn recording_{name}() {{\n    holds({file:?});\n}}\n")
            .expect("a String takes all");
    }
    writeln!(tests, "const GENERATED: [&str; {}] = {names:?};", names.len()).expect("a String takes all");
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    for (file, text) in [("scenarios.rs", tests), ("scenario_recordings.rs", recordings)] {
        fs::write(Path::new(&out).join(file), text).expect("cargo's folder is writable");
    }
}
