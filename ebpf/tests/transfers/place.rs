//! A directory for one program, gone with its value.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

/// Where it is.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("agentsight-{}-{number}", process::id()));
        fs::create_dir(&path).expect("there is a place for temporary files");
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nobody minds a directory that is left in /tmp.
        let _ = fs::remove_dir_all(&self.0);
    }
}
