//! Files that a test writes and then runs.
//!
//! Another process writes them: what this one has open for writing, the children that its other threads start at that
//! moment have open too, until they execute, and Linux refuses to run such a file ("Text file busy").

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::requirement::need_program;

/// Copies this file, to be run by anybody. What has been at that path is replaced.
///
/// # Panics
/// When it cannot be copied.
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    install(from.as_ref(), to.as_ref(), Stdio::null(), &[]);
}

/// Writes this text, a script's, to be run by anybody. What has been at that path is replaced.
///
/// # Panics
/// When it cannot be written.
pub fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    install(Path::new("/dev/stdin"), path.as_ref(), Stdio::piped(), text.as_ref());
}

fn install(from: &Path, to: &Path, input: Stdio, text: &[u8]) {
    let mut command = Command::new(need_program("install", "coreutils"));
    let mut child = command.args(["-m", "755"]).arg(from).arg(to).stdin(input).spawn().expect("install was found");
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(text).expect("install reads its input");
    }
    let status = child.wait().expect("it is a child of ours");
    assert!(status.success(), "install could not write {}: {status}", to.display());
    assert!(fs::metadata(to).is_ok(), "install said that it wrote {}", to.display());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::directory::Directory;

    #[test]
    fn what_was_written_runs_while_other_threads_start_programs() {
        let (folder, done) = (Directory::new(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(Command::new("true").status().expect("every Unix has it").success());
                }
            });
            for (name, code) in (0..40).map(|number| (format!("script-{number}"), number % 5)) {
                write(folder.join(&name), format!("#!/bin/sh\nexit {code}\n"));
                assert_eq!(Command::new(folder.join(&name)).status().expect("it runs").code(), Some(code));
                copy("/bin/true", folder.join(&name));
                assert!(Command::new(folder.join(&name)).status().expect("it runs").success());
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
