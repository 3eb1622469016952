//! The command's process: forked, held before its exec until it is registered, then let go.
//!
//! It is an ordinary child of the stub in the stub's own process group, so the terminal, job control, the window
//! size and every inherited descriptor are as if the caller had started it.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, Pid, execve, fork, pipe2};

use super::command::Command;
use super::dispositions;
use crate::caller::Caller;

/// A child that waits before its exec.
#[derive(Debug)]
pub(super) struct HeldChild {
    pid: Pid,
    release: File,
    failure: File,
}

/// What comes out of letting it go.
#[derive(Debug)]
pub(super) enum Exec {
    /// The command runs.
    Succeeded,
    /// The kernel refused to execute it.
    Failed(Errno),
}

impl HeldChild {
    /// Forks. `signals` is the signal mask to restore in the child.
    pub(super) fn fork(command: &Command, caller: &Caller, signals: &SigSet) -> nix::Result<Self> {
        let (held, release) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let (failure, failed) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        // SAFETY: the stub has one thread, so the child may do all that its parent may.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => {
                Ok(Self { pid: child, release: File::from(release), failure: File::from(failure) })
            }
            ForkResult::Child => {
                drop(release);
                drop(failure);
                run_child(command, caller, signals, held, failed)
            }
        }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Lets the child exec, with `environment` set beside what it inherited.
    pub(super) fn release(mut self, environment: &[(String, Option<String>)]) -> io::Result<Exec> {
        let mut block = Vec::new();
        for (name, value) in environment {
            let assignment = value.as_ref().map_or_else(|| format!("{name}\0"), |value| format!("{name}={value}\0"));
            block.extend_from_slice(assignment.as_bytes());
        }
        // One byte more than the variables: an empty list is not the end of the pipe.
        block.push(b'.');
        self.release.write_all(&block)?;
        drop(self.release);
        let mut errno = [0; 4];
        match self.failure.read_exact(&mut errno) {
            Ok(()) => Ok(Exec::Failed(Errno::from_raw(i32::from_le_bytes(errno)))),
            // The exec closed the pipe.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Exec::Succeeded),
            Err(error) => Err(error),
        }
    }
}

/// Replaces this process by the command; returns only if the kernel refused.
pub(super) fn exec_in_place(command: &Command, caller: &Caller) -> Errno {
    let prepared = SigSet::thread_get_mask().and_then(|mask| prepare(caller, &mask));
    prepared.map_or_else(|errno| errno, |()| exec(command, caller, Vec::new()))
}

fn run_child(command: &Command, caller: &Caller, signals: &SigSet, held: OwnedFd, failed: OwnedFd) -> ! {
    let errno = match wait_for_release(held) {
        Some(environment) => match prepare(caller, signals) {
            Ok(()) => exec(command, caller, environment),
            Err(errno) => errno,
        },
        // The stub gave up or died: nothing was run.
        None => std::process::exit(1),
    };
    let _ = File::from(failed).write_all(&(errno as i32).to_le_bytes());
    std::process::exit(if errno == Errno::ENOENT { 127 } else { 126 });
}

fn wait_for_release(held: OwnedFd) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    File::from(held).read_to_end(&mut block).ok()?;
    (block.pop() == Some(b'.')).then_some(block)
}

fn prepare(caller: &Caller, signals: &SigSet) -> nix::Result<()> {
    caller.become_caller()?;
    dispositions::restore();
    signals.thread_set_mask()
}

fn exec(command: &Command, caller: &Caller, block: Vec<u8>) -> Errno {
    let mut variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let mut set = |name: OsString, value: Option<OsString>| {
        variables.retain(|(known, _)| *known != name);
        variables.extend(value.map(|value| (name, value)));
    };
    for (name, value) in caller.environment() {
        set(name, value);
    }
    for assignment in block.split(|byte| *byte == 0).filter(|assignment| !assignment.is_empty()) {
        let mut parts = assignment.splitn(2, |byte| *byte == b'=').map(|part| OsString::from_vec(part.to_vec()));
        if let Some(name) = parts.next() {
            // A name without a value is to be unset.
            set(name, parts.next());
        }
    }
    let environment: Vec<CString> = variables
        .into_iter()
        .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect();
    let Ok(path) = CString::new(command.path.as_os_str().as_bytes()) else { return Errno::EINVAL };
    let Err(errno) = execve(&path, &command.args, &environment);
    if errno != Errno::ENOEXEC {
        return errno;
    }
    // A script without `#!`: execvp() and every shell give it to /bin/sh.
    let mut args = vec![c"/bin/sh".to_owned(), path];
    args.extend(command.args.iter().skip(1).cloned());
    let Err(errno) = execve(c"/bin/sh", &args, &environment);
    errno
}
