//! What a test needs of the machine: where it is lacking, the test fails and says how to get it.

use std::env;
use std::path::PathBuf;

/// Asserts that the test runs as root, as tracing does.
///
/// # Panics
/// When it does not.
pub fn need_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test traces real programs, which takes root: run `make test`, which starts the tests by sudo"
    );
}

/// The path of a program.
///
/// # Panics
/// When it is not in PATH; the message names the Debian `package` that has it.
#[must_use]
pub fn need_program(name: &str, package: &str) -> PathBuf {
    find_program(name)
        .unwrap_or_else(|| panic!("this test needs `{name}`: run `make test-deps`, or `apt-get install {package}`"))
}

/// The path of a program, where PATH has it.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(name)).find(|path| path.is_file())
}
