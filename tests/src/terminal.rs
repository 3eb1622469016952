//! A real terminal: what is started here has it as its controlling one, in a session of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::unistd::ttyname;

use crate::agentsight::without_opentelemetry;
use crate::requirement::need_program;
use crate::run::Finished;

/// Nothing that these tests wait for takes longer, on a loaded machine either.
const LIMIT: Duration = Duration::from_secs(40);

/// A terminal, and the program that leads its session.
#[derive(Debug)]
pub struct Terminal {
    /// `None` once it was hung up.
    master: Option<File>,
    /// `/dev/pts/N`.
    pub name: PathBuf,
    leader: Child,
    text: String,
    /// So much of the text has been waited for already.
    read_until: usize,
}

impl Terminal {
    /// Opens a terminal of 24 rows and 80 columns and starts `command` on it, as the session's leader.
    ///
    /// # Panics
    /// When the machine has no terminals, or the program cannot be started.
    #[must_use]
    pub fn start(command: &Command) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("the machine gives terminals");
        let name = ttyname(&pty.slave).expect("a terminal has a name");
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).expect("it is our descriptor");
        }
        fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("it is our descriptor");
        let leader = in_session(command, &pty.slave).spawn().expect("setsid was found");
        Self { master: Some(File::from(pty.master)), name, leader, text: String::new(), read_until: 0 }
    }

    /// An interactive bash with job control, whose prompt is `$ `.
    ///
    /// # Panics
    /// As [`Terminal::start`].
    #[must_use]
    pub fn bash(environment: &Command) -> Self {
        let mut bash = Command::new(need_program("bash", "bash"));
        bash.args(["--norc", "--noprofile", "-i"]);
        copy_surroundings(environment, &mut bash);
        // A dumb terminal has no bracketed paste, whose marks would stand in the text.
        bash.envs([("TERM", "dumb"), ("PS1", "$ "), ("INPUTRC", "/dev/null"), ("HISTFILE", "/dev/null")]);
        without_opentelemetry(&mut bash);
        let mut terminal = Self::start(&bash);
        terminal.wait_for("$ ");
        terminal
    }

    /// Process id of the leader.
    ///
    /// # Panics
    /// Never: a process id fits in 31 bits.
    #[must_use]
    pub fn leader(&self) -> i32 {
        i32::try_from(self.leader.id()).expect("a process id fits in 31 bits")
    }

    /// Types: `\x03` is Ctrl-C, `\x1a` is Ctrl-Z, `\x1c` is Ctrl-\, `\x04` is Ctrl-D.
    ///
    /// # Panics
    /// When it was hung up.
    #[track_caller]
    pub fn type_text(&mut self, text: &str) {
        let mut master = self.master.as_ref().expect("the terminal is not hung up");
        master.write_all(text.as_bytes()).expect("a terminal takes a few bytes");
    }

    /// Another size, as a window manager would do it: the foreground is told by SIGWINCH.
    ///
    /// # Panics
    /// When it was hung up.
    pub fn resize(&self, rows: u16, columns: u16) {
        let status = Command::new("stty")
            .arg("-F")
            .arg(&self.name)
            .args(["rows", &rows.to_string(), "cols", &columns.to_string()])
            .status()
            .expect("stty is part of coreutils");
        assert!(status.success(), "stty could not resize {}", self.name.display());
    }

    /// Reads until `text` comes, after what was waited for last; gives what came before it.
    ///
    /// # Panics
    /// When it does not come in time; the message has all that came.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.text[self.read_until..].find(text) {
                let before = self.text[self.read_until..self.read_until + at].to_owned();
                self.read_until += at + text.len();
                return before;
            }
            assert!(begun.elapsed() < LIMIT, "waited in vain for {text:?} on the terminal:\n{}", self.text);
            let open = self.read(Duration::from_millis(50));
            let last = self.text[self.read_until..].contains(text);
            assert!(open || last, "the terminal ended without {text:?}:\n{}", self.text);
        }
    }

    /// Closes our end, as a terminal's window or an ssh connection does; gives the leader.
    #[must_use]
    pub fn hang_up(mut self) -> Child {
        self.master = None;
        self.leader
    }

    /// Waits until the leader has ended; all that was ever on the terminal is in `stdout`.
    ///
    /// # Panics
    /// When it does not end in time; it is killed then.
    #[must_use]
    #[track_caller]
    pub fn end(mut self) -> Finished {
        let begun = Instant::now();
        loop {
            // The leader's end comes first: until then nothing that is still to come is missed.
            let status = self.leader.try_wait().expect("it is our child");
            self.read(Duration::from_millis(50));
            if let Some(status) = status {
                while self.has_more() && self.read(Duration::ZERO) {}
                return Finished { status, stdout: self.text, stderr: String::new() };
            }
            if begun.elapsed() > LIMIT {
                let _already_gone = self.leader.kill();
                panic!("the terminal's leader did not end:\n{}", self.text);
            }
        }
    }

    /// Reads what there is, for so long at most; false when nobody has the terminal open any more.
    fn read(&mut self, limit: Duration) -> bool {
        let Some(master) = &mut self.master else { return false };
        let timeout = PollTimeout::try_from(limit).expect("these waits are short");
        let mut ready = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, timeout).unwrap_or(0) == 0 {
            return true;
        }
        let mut buffer = [0; 4096];
        match master.read(&mut buffer) {
            Ok(length @ 1..) => {
                self.text.push_str(&String::from_utf8_lossy(&buffer[..length]).replace('\r', ""));
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => true,
            // EIO: the last one that had it open is gone.
            _ => false,
        }
    }

    fn has_more(&self) -> bool {
        let Some(master) = &self.master else { return false };
        let mut ready = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::ZERO).unwrap_or(0) > 0
    }
}

/// `command` in a session of its own, whose controlling terminal this is.
fn in_session(command: &Command, slave: &OwnedFd) -> Command {
    let mut session = Command::new(need_program("setsid", "util-linux"));
    session.arg("--ctty");
    // A shell starts its background jobs with some of these ignored, and this test may be one of them.
    session.args(["env", "--default-signal=INT,QUIT,HUP,TSTP,TTIN,TTOU"]);
    session.arg(command.get_program()).args(command.get_args());
    copy_surroundings(command, &mut session);
    let end = || Stdio::from(slave.try_clone().expect("descriptors are plenty"));
    session.stdin(end()).stdout(end()).stderr(end());
    session
}

fn copy_surroundings(from: &Command, to: &mut Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    if let Some(directory) = from.get_current_dir() {
        to.current_dir(directory);
    }
}
