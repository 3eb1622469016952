//! The committed recordings: runs of real programs on a real kernel, to be replayed anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::agentsight::{Agentsight, path_text};
use crate::trace::Trace;

/// `tests/recordings/NAME.agsr`.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    folder().join(name).with_extension("agsr")
}

/// `tests/scenarios/recordings/NAME.agsr`, for a scenario's file `NAME.scenario`.
#[must_use]
pub fn of_scenario(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/recordings").join(file).with_extension("agsr")
}

/// All of them.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn all() -> Vec<PathBuf> {
    let files = fs::read_dir(folder()).expect("the recordings are part of the repository");
    let mut all: Vec<_> = files.map(|file| file.expect("the repository can be read").path()).collect();
    all.retain(|file| file.extension().is_some_and(|extension| extension == "agsr"));
    all.sort();
    assert!(!all.is_empty(), "no recordings in {}", folder().display());
    all
}

/// What `agentsight replay --output` makes of one.
///
/// # Panics
/// When it does not replay.
#[must_use]
#[track_caller]
pub fn replay(recording: &Path) -> Trace {
    let agentsight = Agentsight::without_rights();
    let output = agentsight.directory().join("replayed.jsonl");
    let finished =
        agentsight.run(["replay", "--no-tree", "--output", path_text(&output), path_text(recording)]).expect_code(0);
    agentsight.read(&output, &finished)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings")
}
