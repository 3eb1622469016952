//! A user without any rights, `nobody`, with a copy of the program where that user may run it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::agentsight::{binary, without_opentelemetry};
use crate::directory::Directory;
use crate::executable;
use crate::requirement::{need_program, need_root};

/// Debian's `nobody` and `nogroup`; no account needs to exist for the number to have no rights.
const NOBODY: &str = "65534";

/// Such a user, with a directory to write to.
#[derive(Debug)]
pub struct User {
    directory: Directory,
}

impl User {
    /// One whose directory holds nothing but the program.
    ///
    /// # Panics
    /// When not run by root, which alone can become somebody else.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "making a directory is no default")]
    pub fn new() -> Self {
        need_root();
        let directory = Directory::new();
        // Anybody may write there. The built binary itself often lies in root's home, which nobody may enter.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("the directory is ours");
        executable::copy(binary(), directory.join("agentsight"));
        Self { directory }
    }

    /// Where this user may write.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// `agentsight` as this user runs it: in no group, with no capability, and with a PATH that has no sudo.
    ///
    /// # Panics
    /// When `setpriv` is missing.
    #[must_use]
    pub fn agentsight<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(need_program("setpriv", "util-linux"));
        command.args([
            "--reuid",
            NOBODY,
            "--regid",
            NOBODY,
            "--clear-groups",
            "--inh-caps=-all",
            "--bounding-set=-all",
            "--",
        ]);
        command.arg(self.directory.join("agentsight")).args(arguments);
        without_opentelemetry(&mut command);
        command
            .env("PATH", self.directory.path())
            .env("HOME", self.directory.path())
            .current_dir(self.directory.path());
        command
    }
}
