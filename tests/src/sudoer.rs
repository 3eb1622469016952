//! A user of this machine who is none: one that exists in a private mount namespace alone, with the sudo rules that a
//! test wants. Nothing of the machine's own `/etc` changes.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use crate::agentsight::{binary, path_text, without_opentelemetry};
use crate::directory::Directory;
use crate::executable;
use crate::requirement::{need_program, need_root};

/// The user's name, whose password is [`PASSWORD`].
pub const NAME: &str = "flightrecorder";
/// The user's id and main group; [`EXTRA_GROUP`] is another group of theirs.
pub const UID: u32 = 47_111;
/// A group besides the main one.
pub const EXTRA_GROUP: u32 = 47_112;
/// What sudo asks for where its rules want a password.
pub const PASSWORD: &str = "correct horse";
/// `openssl passwd -6 -salt agentsight 'correct horse'`
const PASSWORD_HASH: &str =
    "$6$agentsight$lOncKKt3CNFrIfwASXJJGwiPdy9dACP2XTSDmeKaLOyYIn0RxKk6bKzcGb7H5wOgcKFbi/kCUMIlogUIhSne2.";

/// What the user may do by sudo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Everything, without being asked.
    Everything,
    /// Everything, for the password.
    EverythingForThePassword,
    /// Nothing.
    Nothing,
}

/// What sudo puts between its caller and its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SudoTerminal {
    /// Nothing: the terminal is the caller's.
    Callers,
    /// A terminal of the command's own (`use_pty`, which is Debian's default).
    Own,
    /// A record of all that is read and written.
    Recorded,
}

/// Such a user, with a home and a copy of AgentSight that they may execute.
#[derive(Debug)]
pub struct Sudoer {
    directory: Directory,
}

impl Sudoer {
    /// Makes the user's files.
    ///
    /// # Panics
    /// When not run by root.
    #[must_use]
    pub fn new(rights: Rights, terminal: SudoTerminal) -> Self {
        need_root();
        let directory = Directory::new();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("the directory is ours");
        let user = Self { directory };
        for folder in ["home", "home/bin", "home/.local", "home/.local/bin", "etc", "etc/sudoers.d", "store"] {
            fs::create_dir(user.directory.join(folder)).expect("the directory is ours");
            if folder.starts_with("home") {
                user.give(folder);
            }
        }
        fs::set_permissions(user.directory.join("store"), Permissions::from_mode(0o700)).expect("it is ours");
        executable::copy(binary(), user.directory.join("agentsight"));
        user.write_accounts();
        user.write_rules(rights, terminal);
        user.write_counting_sudo();
        user
    }

    /// The path of `name` in the user's home.
    #[must_use]
    pub fn home(&self, name: &str) -> PathBuf {
        self.directory.join("home").join(name)
    }

    /// The path of `name` where root alone may write, and everybody read.
    #[must_use]
    pub fn roots(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The user's copy of AgentSight.
    #[must_use]
    pub fn agentsight(&self) -> PathBuf {
        self.directory.join("agentsight")
    }

    /// Writes an executable file of the user's.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_program(&self, name: &str, text: &str) {
        executable::write(self.home(name), text);
        self.give(&format!("home/{name}"));
    }

    /// `program` as this user would run it, in their home and groups.
    ///
    /// # Panics
    /// When util-linux is missing.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(&self, program: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(need_program("unshare", "util-linux"));
        command.args(["--mount", "--propagation", "private", "sh", "-e", "-c"]);
        let files = ["passwd", "group", "shadow", "sudoers", "sudoers.d"];
        let mounts: Vec<_> = files
            .iter()
            .map(|file| format!("mount --bind {} /etc/{file}", path_text(&self.directory.join("etc").join(file))))
            .collect();
        command.arg(format!("{}; exec \"$@\"", mounts.join("; "))).arg("sh");
        command.args([need_program("setpriv", "util-linux"), "--reuid".into(), UID.to_string().into()]);
        command.args(["--regid", &UID.to_string(), "--init-groups", "--"]).args(program);
        without_opentelemetry(&mut command);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SUDO_")) {
            command.env_remove(name);
        }
        command
            .env("HOME", self.directory.join("home"))
            .env("USER", NAME)
            .env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", path_text(&self.home("bin"))))
            .env("AGENTSIGHT_STORE", self.directory.join("store"))
            .current_dir(self.directory.join("home"));
        command
    }

    /// How often the user's sudo was called.
    #[must_use]
    pub fn sudo_calls(&self) -> usize {
        fs::read_to_string(self.home("sudo-calls")).map_or(0, |text| text.lines().count())
    }

    fn write_accounts(&self) {
        let home = self.directory.join("home");
        let add = |file: &str, mode: u32, line: &str| {
            let mut text = fs::read_to_string(format!("/etc/{file}")).expect("the machine has users");
            if !text.ends_with('\n') {
                text.push('\n');
            }
            self.write_etc(file, mode, &format!("{text}{line}\n"));
        };
        add("passwd", 0o644, &format!("{NAME}:x:{UID}:{UID}::{}:/bin/bash", path_text(&home)));
        add("group", 0o644, &format!("{NAME}:x:{UID}:\n{NAME}-friends:x:{EXTRA_GROUP}:{NAME}"));
        add("shadow", 0o640, &format!("{NAME}:{PASSWORD_HASH}:19000:0:99999:7:::"));
    }

    fn write_rules(&self, rights: Rights, terminal: SudoTerminal) {
        let rule = match rights {
            Rights::Everything => format!("{NAME} ALL=(ALL:ALL) NOPASSWD: ALL\n"),
            Rights::EverythingForThePassword => format!("{NAME} ALL=(ALL:ALL) ALL\n"),
            Rights::Nothing => String::new(),
        };
        let terminal = match terminal {
            SudoTerminal::Callers => "!use_pty".to_owned(),
            SudoTerminal::Own => "use_pty".to_owned(),
            SudoTerminal::Recorded => {
                format!("use_pty, log_input, log_output, iolog_dir={}", path_text(&self.roots("record")))
            }
        };
        // Root lets the store's place through; tickets and lectures would be kept outside of this directory.
        self.write_etc(
            "sudoers",
            0o440,
            &format!(
                "Defaults env_reset, {terminal}, timestamp_timeout=0, lecture=never, !mailerpath\n\
                 Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
                 Defaults env_keep += AGENTSIGHT_STORE\n{rule}"
            ),
        );
    }

    fn write_etc(&self, file: &str, mode: u32, text: &str) {
        let path = self.directory.join("etc").join(file);
        fs::write(&path, text).expect("the directory is ours");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
    }

    /// In front of the real one in PATH.
    fn write_counting_sudo(&self) {
        let sudo = need_program("sudo", "sudo");
        self.write_program(
            "bin/sudo",
            &format!(
                "#!/bin/sh\necho called >> {}\nexec {} \"$@\"\n",
                path_text(&self.home("sudo-calls")),
                path_text(&sudo)
            ),
        );
    }

    fn give(&self, name: &str) {
        chown(self.directory.join(name), Some(UID), Some(UID)).expect("root gives what it has");
    }
}
