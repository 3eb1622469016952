//! When a session is over: its root has ended, and its descendants have too, or have had their time.

use std::collections::HashSet;
use std::time::Duration;

use agentsight_ebpf::{Event, KernelNanos, ProcessKey};

/// What a session lasts as long as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A command, and what outlives it for the linger time.
    Command,
    /// A tree that was found running: its last process, or until the user has seen enough.
    RunningTree,
}

/// Follows who lives.
#[derive(Debug)]
pub(crate) struct Lifetime {
    scope: Scope,
    ended_by_user: bool,
    linger: Duration,
    root: Option<ProcessKey>,
    root_ended: Option<KernelNanos>,
    /// Somebody has lived.
    begun: bool,
    alive: HashSet<ProcessKey>,
}

impl Lifetime {
    pub(crate) fn new(scope: Scope, linger: Duration) -> Self {
        Self { scope, ended_by_user: false, linger, root: None, root_ended: None, begun: false, alive: HashSet::new() }
    }

    /// Takes note; returns the root when this is its fork.
    pub(super) fn observe(&mut self, event: &Event) -> Option<ProcessKey> {
        match event {
            Event::Fork(fork) => {
                self.begun = true;
                self.alive.insert(fork.process);
                if fork.root && self.root.is_none() {
                    self.root = Some(fork.process);
                    return self.root;
                }
            }
            Event::Exec(exec) | Event::Snapshot(exec) => {
                self.begun = true;
                self.alive.insert(exec.process);
            }
            Event::Exit(exit) => {
                self.alive.remove(&exit.process);
                if self.root == Some(exit.process) {
                    self.root_ended = Some(exit.at);
                }
            }
            _ => {}
        }
        None
    }

    /// Whoever is in the session has been heard of by now.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// The stub says that it is over. Of a command that is believed only where its exit event was lost: a traced
    /// process may have got hold of the stub's channel, and must not end its own trace.
    pub(super) fn end(&mut self, at: KernelNanos, is_traced: impl Fn(ProcessKey) -> bool) {
        match self.scope {
            Scope::Command if self.root.is_some_and(is_traced) => {}
            Scope::Command => {
                self.root_ended.get_or_insert(at);
            }
            Scope::RunningTree => self.ended_by_user = true,
        }
    }

    /// Once only those who are left are waited for, nobody is whose exit event was lost.
    pub(super) fn forget_the_dead(&mut self, is_traced: impl Fn(ProcessKey) -> bool) {
        if self.root_ended.is_some() || self.scope == Scope::RunningTree {
            self.alive.retain(|process| is_traced(*process));
        }
    }

    pub(super) fn is_over(&self, now: KernelNanos) -> bool {
        if self.scope == Scope::RunningTree {
            return self.ended_by_user || self.begun && self.alive.is_empty();
        }
        let Some(ended) = self.root_ended else { return false };
        let linger = u64::try_from(self.linger.as_nanos()).unwrap_or(u64::MAX);
        self.alive.is_empty() || now.0 >= ended.0.saturating_add(linger)
    }

    /// Processes that were still running.
    pub(crate) fn alive(&self) -> usize {
        self.alive.len()
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::{ExecNumber, Exit, Fork, Tgid, Tid};

    use super::*;

    const fn process(tgid: u32) -> ProcessKey {
        ProcessKey { tgid: Tgid(tgid), start: KernelNanos(1) }
    }

    fn fork(tgid: u32, root: bool) -> Event {
        Event::Fork(Fork {
            flow: None,
            at: KernelNanos(10),
            process: process(tgid),
            vpid: tgid,
            parent: process(1),
            parent_tid: Tid(1),
            parent_exec: ExecNumber(0),
            root,
        })
    }

    fn exit(tgid: u32, at: u64) -> Event {
        Event::Exit(Exit { at: KernelNanos(at), process: process(tgid), exec: ExecNumber(0), status: 0 })
    }

    #[test]
    fn a_session_is_over_with_its_last_process() {
        let mut lifetime = Lifetime::new(Scope::Command, Duration::from_secs(1));
        assert_eq!(lifetime.observe(&fork(2, true)), Some(process(2)));
        assert_eq!(lifetime.observe(&fork(3, false)), None);
        lifetime.observe(&exit(3, 20));
        assert!(!lifetime.is_over(KernelNanos(u64::MAX)), "the root lives");
        lifetime.observe(&exit(2, 30));
        assert!(lifetime.is_over(KernelNanos(30)));
    }

    #[test]
    fn the_stubs_word_ends_nothing_while_the_kernel_says_that_the_root_lives() {
        let mut lifetime = Lifetime::new(Scope::Command, Duration::ZERO);
        lifetime.observe(&fork(2, true));
        lifetime.end(KernelNanos(20), |_| true);
        assert!(!lifetime.is_over(KernelNanos(u64::MAX)));
        lifetime.end(KernelNanos(30), |_| false);
        assert!(lifetime.is_over(KernelNanos(30)), "its exit event was lost");
    }

    #[test]
    fn a_process_whose_exit_was_lost_is_not_waited_for() {
        let mut lifetime = Lifetime::new(Scope::Command, Duration::from_secs(1));
        lifetime.observe(&fork(2, true));
        lifetime.observe(&fork(3, false));
        lifetime.observe(&exit(2, 30));
        lifetime.forget_the_dead(|_| false);
        assert!(lifetime.is_over(KernelNanos(30)));
        assert_eq!(lifetime.alive(), 0);
    }

    #[test]
    fn a_running_tree_lasts_until_its_last_process_or_the_users_word() {
        let mut lifetime = Lifetime::new(Scope::RunningTree, Duration::ZERO);
        assert!(!lifetime.is_over(KernelNanos(u64::MAX)), "nobody was seen yet");
        lifetime.observe(&fork(3, false));
        lifetime.observe(&fork(4, false));
        lifetime.observe(&exit(3, 30));
        assert!(!lifetime.is_over(KernelNanos(u64::MAX)), "one still lives");
        lifetime.end(KernelNanos(40), |_| true);
        assert!(lifetime.is_over(KernelNanos(40)));
    }

    #[test]
    fn descendants_that_outlive_the_root_have_the_linger_time() {
        let mut lifetime = Lifetime::new(Scope::Command, Duration::from_nanos(100));
        lifetime.observe(&fork(2, true));
        lifetime.observe(&fork(3, false));
        lifetime.observe(&exit(2, 30));
        assert!(!lifetime.is_over(KernelNanos(129)));
        assert!(lifetime.is_over(KernelNanos(130)));
        assert_eq!(lifetime.alive(), 1);
    }
}
