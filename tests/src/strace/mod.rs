//! An independent witness: the process tree as `strace -f` sees it.

mod kernel_view;
mod line;
mod tree;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::directory::Directory;
use crate::process_tree::Image;
use crate::requirement::need_program;
use crate::run::{Finished, run};

/// The calls that make, replace and end processes; their end itself strace says without being asked.
const CALLS: &str = "trace=fork,vfork,clone,clone3,execve,execveat";

/// Runs `program` in `directory` under strace, with `prepare`'s environment, and says what tree it made.
///
/// # Panics
/// When strace is missing, cannot trace, or writes what is not understood.
#[track_caller]
pub fn observe(program: &[&str], directory: &Path, prepare: impl Fn(&mut Command)) -> (Image, Finished) {
    let strace = need_program("strace", "strace");
    let scratch = Directory::new();
    let log = scratch.join("strace.txt");
    let mut command = Command::new(strace);
    // -v: whole argument lists; it writes the environment too, so `prepare` had better keep that small.
    command.args(["-f", "-q", "-v", "-s", "65536", "-e", CALLS, "-o"]).arg(&log).arg("--").args(program);
    command.current_dir(directory);
    prepare(&mut command);
    let finished = run(&mut command, Duration::from_secs(300));
    let text = fs::read_to_string(&log)
        .unwrap_or_else(|error| panic!("strace wrote no log ({error}); may it trace here?\n{}", finished.stderr));
    (tree::tree(&text, directory).sorted(), finished)
}
