//! A directory of a test's own, removed when the test has passed; kept, and named, when it failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// An empty directory under the system's temporary one.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Makes a new one; readable by its maker alone.
    ///
    /// # Panics
    /// When the temporary directory is not writable.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "making a directory is no default")]
    pub fn new() -> Self {
        let template = std::env::temp_dir().join("agentsight-test.XXXXXX");
        Self(
            nix::unistd::mkdtemp(&template)
                .unwrap_or_else(|error| panic!("cannot make {}: {error}", template.display())),
        )
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of `name` in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the failed test's files are kept in {}", self.0.display());
        } else if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}
