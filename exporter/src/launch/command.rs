//! Finding the command, as a shell would: before anybody is asked for a password.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};

use crate::caller::Caller;

/// Where execvp(3) searches when PATH is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The command cannot be run; `exit_code` is what a shell gives.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Nothing of that name.
    #[error("{name}: command not found{hint}")]
    NotFound {
        /// As typed.
        name: String,
        /// What may explain it, or empty.
        hint: String,
    },
    /// A path was given, and nothing is there.
    #[error("{path}: No such file or directory")]
    Missing {
        /// As typed.
        path: String,
    },
    /// It is there and may not be executed.
    #[error("{path}: {reason}")]
    NotExecutable {
        /// What was found.
        path: String,
        /// Permission denied, Is a directory, or what exec said.
        reason: String,
    },
    /// An argument holds a NUL byte, which the kernel cannot pass on.
    #[error("an argument of the command holds a NUL byte")]
    Nul,
}

impl CommandError {
    /// 127 or 126, as a shell exits.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } | Self::Missing { .. } => 127,
            Self::NotExecutable { .. } | Self::Nul => 126,
        }
    }
}

/// A command that was found.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) path: PathBuf,
    pub(super) args: Vec<CString>,
}

impl Command {
    /// `words` is the command and its arguments, as typed; at least one word.
    pub(super) fn find(words: &[OsString], caller: &Caller) -> Result<Self, CommandError> {
        let name = words.first().map(OsString::as_os_str).unwrap_or_default();
        let args = words
            .iter()
            .map(|word| CString::new(word.clone().into_vec()).map_err(|_| CommandError::Nul))
            .collect::<Result<_, _>>()?;
        if name.as_bytes().contains(&b'/') {
            return check(Path::new(name)).map(|path| Self { path, args });
        }
        let mut denied = None;
        if name.is_empty() {
            return Err(CommandError::NotFound { name: String::new(), hint: String::new() });
        }
        let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        for folder in env::split_paths(&path) {
            // An empty element of PATH is the current directory.
            let candidate = if folder.as_os_str().is_empty() { Path::new(".").join(name) } else { folder.join(name) };
            match check(&candidate) {
                Ok(path) => return Ok(Self { path, args }),
                Err(error @ CommandError::NotExecutable { .. }) => denied = denied.or(Some(error)),
                Err(_) => {}
            }
        }
        Err(denied.unwrap_or_else(|| CommandError::NotFound { name: lossy(name), hint: explain(name, caller) }))
    }
}

fn check(path: &Path) -> Result<PathBuf, CommandError> {
    let refused =
        |reason: &str| CommandError::NotExecutable { path: lossy(path.as_os_str()), reason: reason.to_owned() };
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(refused("Permission denied")),
        Err(_) => Err(CommandError::Missing { path: lossy(path.as_os_str()) }),
        Ok(metadata) if metadata.is_dir() => Err(refused("Is a directory")),
        Ok(_) if eaccess(path, AccessFlags::X_OK).is_err() => Err(refused("Permission denied")),
        Ok(_) => Ok(path.to_owned()),
    }
}

/// sudo replaces PATH by its secure_path: say so where that is what hides the command.
fn explain(name: &OsStr, caller: &Caller) -> String {
    let Caller::ThroughSudo(user) = caller else { return String::new() };
    let home = &user.dir;
    let usual = [
        home.join(".local/bin"),
        home.join("bin"),
        home.join(".cargo/bin"),
        home.join(".npm-global/bin"),
        home.join("go/bin"),
    ];
    let found = usual.iter().map(|folder| folder.join(name)).find(|path| path.exists());
    let where_it_is = found.map(|path| format!(" (it is at {})", path.display())).unwrap_or_default();
    let name = lossy(name);
    format!(
        "{where_it_is}\nsudo replaces your PATH by its own secure_path, which does not hold {name}. \
         Run agentsight without sudo (agentsight run -- {name} …): it asks sudo for its collector alone, \
         and the command keeps your PATH"
    )
}

fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}
