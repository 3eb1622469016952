//! What backends have in common: they are built once into a cache, and started on ports that nobody else uses.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Runs `tests/backends/NAME/build.sh`, which builds where the cache has nothing, and gives the path that it prints.
///
/// # Panics
/// When it fails; what it said stands on standard error.
#[must_use]
pub fn cached(name: &str) -> PathBuf {
    let script = folder(name).join("build.sh");
    let output = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", script.display()));
    assert!(output.status.success(), "{} failed; run it by hand to see why", script.display());
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// `tests/backends/NAME`.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("backends").join(name)
}

/// As many different ports of the loopback interface as asked for, free a moment ago.
///
/// # Panics
/// When the machine has none left.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until all are chosen, so that none comes twice.
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("the loopback interface has free ports"));
    listeners.each_ref().map(|listener| listener.local_addr().expect("a listener has an address").port())
}

/// A child process that is killed, by its own id, when the test lets go of it.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _already_gone = self.0.kill();
        let _already_reaped = self.0.wait();
    }
}
