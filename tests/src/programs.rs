//! The programs that the tests trace, and the small environment that they all run in.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::directory::Directory;
use crate::requirement::need_program;

/// `tests/programs/NAME`.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name)
}

/// A fresh copy of `tests/programs/c_project`, to be built there.
///
/// # Panics
/// When it cannot be copied.
#[must_use]
pub fn c_project() -> Directory {
    let copy = Directory::new();
    for file in fs::read_dir(path("c_project")).expect("the project is part of the repository") {
        let file = file.expect("a directory of the repository can be read");
        fs::copy(file.path(), copy.path().join(file.file_name())).expect("the temporary directory is writable");
    }
    copy
}

/// `tests/programs/storm.c`, built into this directory.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn storm(into: &Directory) -> PathBuf {
    let program = into.join("storm");
    let status = Command::new(need_program("gcc", "gcc"))
        .args(["-O1", "-Wall", "-Werror", "-o"])
        .args([&program, &path("storm.c")])
        .status()
        .expect("gcc was found");
    assert!(status.success(), "storm.c does not build");
    program
}

/// A real Python, not the shim of a version manager, which would add a dozen processes of its own.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let output = Command::new(need_program("python3", "python3"))
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .expect("python3 was found");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// Gives a command nothing but PATH, HOME and a fixed locale: what a program does must not hang on who runs the test.
pub fn small_environment(command: &mut Command) {
    let kept: Vec<(&str, OsString)> =
        ["PATH", "HOME"].iter().filter_map(|name| Some((*name, env::var_os(name)?))).collect();
    command.env_clear().envs(kept).env("LC_ALL", "C");
}
