//! `attach`: tracing a tree that runs already, until it ends or the user has seen enough. The tree does not notice.

use agentsight_ebpf::Tgid;
use nix::unistd::Uid;

use super::ear::Ear;
use super::run::{self, Attached, LaunchError, Tracing};
use super::signals::Signals;
use super::wait::{LastWords, Waiter};
use crate::caller::Caller;
use crate::channel::Target;
use crate::ownership;

/// Traces the tree below `pid`; returns when it has ended, or on SIGINT, SIGTERM, SIGHUP or SIGQUIT.
///
/// # Errors
/// Neither root nor a daemon that traces one's own processes, no such process, or it is traced already; nothing is
/// traced then.
pub fn attach(pid: u32, tracing: &Tracing) -> Result<(), LaunchError> {
    // The daemon knows the caller by the caller's socket, which nobody else of the same user may take.
    let _ = nix::sys::prctl::set_dumpable(false);
    let caller = Caller::find()?;
    if let Some(session) = ownership::find_owner_of(Tgid(pid)) {
        return Err(LaunchError::Owned { pid, session });
    }
    let Attached { collector, mut outputs, .. } = run::attach_collector(tracing, &caller, Target::Running(pid))?;
    let signals = Signals::take().map_err(run::process_failed)?;
    eprintln!("agentsight: tracing process {pid} and its descendants; Ctrl-C ends the tracing, not the processes");
    let mut waiter = Waiter {
        signals: &signals,
        collector: Ear::new(collector).ok(),
        outputs: &mut outputs,
        words: LastWords::default(),
    };
    waiter.wait_for_user();
    waiter.wait_for_collector(std::time::Duration::ZERO);
    run::say(&waiter.words);
    Ok(())
}

/// Ends the session that traces `pid`; its processes go on untouched. Returns the session's id as text.
///
/// # Errors
/// Not root, or no session traces it.
pub fn detach(pid: u32) -> Result<String, LaunchError> {
    require_root(pid)?;
    let session = ownership::end_session_of(Tgid(pid)).ok_or(LaunchError::NotTraced { pid })?;
    Ok(session.to_string())
}

fn require_root(pid: u32) -> Result<(), LaunchError> {
    if Uid::effective().is_root() { Ok(()) } else { Err(LaunchError::NotRoot { pid }) }
}
