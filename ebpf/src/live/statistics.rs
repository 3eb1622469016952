//! The kernel's account of run times, switched on and off.
//!
//! While anybody holds it on, the kernel reads a clock twice around every run of every program of the host, which takes
//! longer than an empty program. So it is to be on for moments only; but switching takes `CAP_SYS_ADMIN`, which
//! whoever reads foreign bytes must not keep. A process of its own keeps that right and no other: it holds nothing but
//! one end of a socket, reads single bytes from it, and ends with it.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, read, write};

const ON: u8 = 1;
const OFF: u8 = 0;
const REFUSED: u8 = 2;

/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CAP_SYS_ADMIN: u32 = 21;

/// The process, from outside. Dropping it ends it.
#[derive(Debug)]
pub struct Statistics {
    socket: Option<UnixStream>,
    process: Pid,
}

impl Statistics {
    /// Starts the process; to be called while the caller still has the right, and before it holds what must not be
    /// held twice. `None` where it cannot be had: run times stay unknown.
    #[must_use]
    pub fn start() -> Option<Self> {
        let (ours, theirs) = UnixStream::pair().ok()?;
        ours.set_nonblocking(true).ok()?;
        // SAFETY: the child makes system calls alone, and none that needs what another thread may have held.
        match unsafe { fork() }.ok()? {
            ForkResult::Child => serve(theirs.as_raw_fd()),
            ForkResult::Parent { child } => Some(Self { socket: Some(ours), process: child }),
        }
    }

    /// Asks for the account to be kept; [`Statistics::is_on`] says when it is.
    pub(super) fn switch_on(&mut self) {
        self.ask(ON);
    }

    pub(super) fn switch_off(&mut self) {
        self.ask(OFF);
    }

    /// Whether it is on by now, after it was asked for; an error where it never will be.
    pub(super) fn is_on(&mut self) -> Result<bool, Refused> {
        let mut answer = [0];
        match self.socket.as_mut().ok_or(Refused)?.read(&mut answer) {
            Ok(1) if answer == [ON] => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            _ => Err(Refused),
        }
    }

    fn ask(&mut self, what: u8) {
        // One byte in a second: there is room for it, or the process is gone, which its answer will show.
        let _ = self.socket.as_mut().map(|socket| socket.write(&[what]));
    }
}

/// The kernel does not keep the account for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl Drop for Statistics {
    fn drop(&mut self) {
        self.socket = None;
        let _ = waitpid(self.process, None);
    }
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Capabilities {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The process, from inside.
fn serve(socket: RawFd) -> ! {
    if close_others(socket).is_ok() && keep_one_right().is_ok() && prctl::set_no_new_privs().is_ok() {
        // Only `ps` shows it.
        let _ = prctl::set_name(c"agentsight-time");
        // SAFETY: it is open, and stays so until this process ends.
        obey(unsafe { BorrowedFd::borrow_raw(socket) });
    }
    // SAFETY: it ends this process at once; what its parent has to clean up is its parent's.
    unsafe { libc::_exit(0) }
}

fn obey(socket: BorrowedFd<'_>) {
    let mut held = None;
    let mut order = [0];
    loop {
        match read(socket, &mut order) {
            Ok(1) => {}
            Err(Errno::EINTR) => continue,
            _ => return,
        }
        drop(held.take());
        if order == [ON] {
            held = aya::sys::enable_stats(aya::sys::Stats::RunTime).ok();
            let _ = write(socket, &[if held.is_some() { ON } else { REFUSED }]);
        }
    }
}

fn close_others(socket: RawFd) -> nix::Result<()> {
    let number = socket.unsigned_abs();
    for (first, last) in [(0, number.checked_sub(1)), (number + 1, Some(u32::MAX))] {
        if let Some(last) = last {
            // SAFETY: nobody in this process uses any of them again.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
    }
    Ok(())
}

fn keep_one_right() -> nix::Result<()> {
    const NONE: Capabilities = Capabilities { effective: 0, permitted: 0, inheritable: 0 };
    let own = 1 << CAP_SYS_ADMIN;
    let header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let rights = [Capabilities { effective: own, permitted: own, inheritable: 0 }, NONE];
    // SAFETY: both are as capset(2) has them.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, rights.as_ptr()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_account_is_kept_when_it_is_asked_for_by_a_process_with_one_right_and_one_descriptor() {
        let mut statistics = Statistics::start().expect("this process may fork");
        statistics.switch_on();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !statistics.is_on().expect("this test needs root, and Linux 5.8") {
            assert!(Instant::now() < deadline, "there was no answer");
            std::thread::yield_now();
        }
        let process = format!("/proc/{}", statistics.process);
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let rights = status.lines().find_map(|line| line.strip_prefix("CapPrm:\t")).unwrap();
        assert_eq!(u64::from_str_radix(rights, 16).unwrap(), 1 << CAP_SYS_ADMIN);
        // Its socket, and the account.
        assert_eq!(std::fs::read_dir(format!("{process}/fd")).unwrap().count(), 2);
        statistics.switch_off();
        drop(statistics);
        assert!(!std::path::Path::new(&process).exists());
    }
}
