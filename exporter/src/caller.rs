//! Who called, and as whom the command is to run.

use std::env;
use std::ffi::OsString;

use nix::unistd::{Gid, Uid, User};

/// Why the caller could not be made out.
#[derive(Debug, thiserror::Error)]
#[error(
    "SUDO_UID={uid} names no user of this machine: {reason}\nRun the command without sudo, or as a user that exists"
)]
pub struct UnknownCaller {
    uid: String,
    reason: String,
}

/// The user on whose behalf the command runs.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Whoever started us: nothing is changed.
    Ourselves,
    /// sudo made us root: the command runs as the user who called it.
    ThroughSudo(Box<User>),
}

impl Caller {
    /// From `SUDO_UID`, where sudo made us root.
    ///
    /// # Errors
    /// It names no user.
    pub fn find() -> Result<Self, UnknownCaller> {
        let Some(text) = env::var_os("SUDO_UID").filter(|_| Uid::effective().is_root()) else {
            return Ok(Self::Ourselves);
        };
        let unknown = |reason: String| UnknownCaller { uid: text.to_string_lossy().into_owned(), reason };
        let uid = text.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| unknown("not a number".to_owned()))?;
        if uid == 0 {
            return Ok(Self::Ourselves);
        }
        match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => Ok(Self::ThroughSudo(Box::new(user))),
            Ok(None) => Err(unknown("no such user".to_owned())),
            Err(error) => Err(unknown(error.desc().to_owned())),
        }
    }

    /// The user to whom the session belongs.
    #[must_use]
    pub fn uid(&self) -> Uid {
        match self {
            Self::Ourselves => Uid::current(),
            Self::ThroughSudo(user) => user.uid,
        }
    }

    /// What of the environment must change for the command: sudo's own marks go, HOME and the names come back.
    pub(crate) fn environment(&self) -> Vec<(OsString, Option<OsString>)> {
        let Self::ThroughSudo(user) = self else { return Vec::new() };
        let set = |name: &str, value: OsString| (OsString::from(name), Some(value));
        let mut changes = vec![
            set("HOME", user.dir.clone().into_os_string()),
            set("USER", user.name.clone().into()),
            set("LOGNAME", user.name.clone().into()),
            set("SHELL", user.shell.clone().into_os_string()),
        ];
        changes.extend(["SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND", "MAIL"].map(|name| (name.into(), None)));
        changes
    }

    /// Become that user, for good. Only ever called in the held child.
    pub(crate) fn become_caller(&self) -> nix::Result<()> {
        let Self::ThroughSudo(user) = self else { return Ok(()) };
        let name = std::ffi::CString::new(user.name.as_str()).map_err(|_| nix::errno::Errno::EINVAL)?;
        nix::unistd::initgroups(&name, user.gid)?;
        nix::unistd::setresgid(user.gid, user.gid, user.gid)?;
        nix::unistd::setresuid(user.uid, user.uid, user.uid)
    }

    /// Run `action` with the file-access rights of that user: a file named on the command line is theirs, not root's.
    ///
    /// # Errors
    /// The kernel refused to change or restore the ids.
    pub fn with_rights<T>(&self, action: impl FnOnce() -> T) -> nix::Result<T> {
        let Self::ThroughSudo(user) = self else { return Ok(action()) };
        let groups = nix::unistd::getgroups()?;
        let name = std::ffi::CString::new(user.name.as_str()).map_err(|_| nix::errno::Errno::EINVAL)?;
        nix::unistd::initgroups(&name, user.gid)?;
        nix::unistd::setegid(user.gid)?;
        nix::unistd::seteuid(user.uid)?;
        let result = action();
        nix::unistd::seteuid(Uid::from_raw(0))?;
        nix::unistd::setegid(Gid::from_raw(0))?;
        nix::unistd::setgroups(&groups)?;
        Ok(result)
    }
}
