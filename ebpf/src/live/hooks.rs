//! Which program goes to which hook, and how often.
//!
//! From Linux 7.0 on a raw tracepoint's programs can be preempted. The kernel then skips a program for every task that
//! comes by on the same CPU meanwhile, and a fork or an exit would be missed. So each program is there three times,
//! copies that are skipped independently; the first that runs does the work, and the others find it done.

use nix::sys::utsname::uname;

/// One hook with the copies of its program, in the order in which they run.
pub(super) struct Hook {
    pub(super) tracepoint: &'static str,
    pub(super) copies: [&'static str; 3],
    /// Runs behind the copies, where there are several, and counts what all of them missed.
    pub(super) witness: &'static str,
}

/// In the order of attachment: exit first, so that no process that was put into the tree can end unseen.
pub(super) const HOOKS: [Hook; 3] = [
    Hook {
        tracepoint: "sched_process_exit",
        copies: ["agentsight_exit", "agentsight_exit_again", "agentsight_exit_once_more"],
        witness: "agentsight_exit_witness",
    },
    Hook {
        tracepoint: "sched_process_exec",
        copies: ["agentsight_exec", "agentsight_exec_again", "agentsight_exec_once_more"],
        witness: "agentsight_exec_witness",
    },
    Hook {
        tracepoint: "sched_process_fork",
        copies: ["agentsight_fork", "agentsight_fork_again", "agentsight_fork_once_more"],
        witness: "agentsight_fork_witness",
    },
];

/// Program arrays, and what is in them: reached by a tail call from the copy above with the same number, or from itself,
/// and never attached.
pub(super) const CONTINUATIONS: [(&str, [&str; 3]); 2] = [
    (
        "exec_environment",
        ["agentsight_exec_environment", "agentsight_exec_environment_again", "agentsight_exec_environment_once_more"],
    ),
    ("exit_files", ["agentsight_exit_files", "agentsight_exit_files_again", "agentsight_exit_files_once_more"]),
];

/// A program that an interrupt comes by on every kernel, and its copy, one of which then sees what the interrupt did.
/// There is no witness: what both were skipped for is no more than what either of them was.
pub(super) const INTERRUPTED: [&str; 2] = ["agentsight_connected", "agentsight_connected_again"];

/// How many copies this kernel needs. By its release, because nothing in its type information tells.
pub(super) fn copies() -> usize {
    if release().is_some_and(|(major, _)| major >= 7) { 3 } else { 1 }
}

/// The running kernel's release: 6 and 12 of `6.12.43-cloud`.
pub(super) fn release() -> Option<(u32, u32)> {
    let name = uname().ok()?;
    let mut numbers = name.release().to_str()?.split(['.', '-']).map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// Whether another program does the work where this one is skipped, and a witness counts what all of them missed.
pub(super) fn has_copies(program: &str) -> bool {
    HOOKS.iter().any(|hook| hook.witness == program || hook.copies.contains(&program))
        || CONTINUATIONS.iter().any(|(_, copies)| copies.contains(&program))
}

impl Hook {
    /// What is attached to it, in this order.
    pub(super) fn programs(&self, copies: usize) -> impl Iterator<Item = &'static str> {
        let witness = (copies > 1).then_some(self.witness);
        self.copies[..copies].iter().copied().chain(witness)
    }
}
