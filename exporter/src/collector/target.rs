//! Pointing the programs at what is to be traced: a child to come, or a tree that runs.

use agentsight_ebpf::live::{LiveError, Probes, Ring, Tree, describe_running, leave_undescribed};
use agentsight_ebpf::{Event, Exec, ExecNumber, SessionNumber, Tgid};

use crate::channel::{Request, Target};

/// From here on the target of the only session is traced. Returns what must come before everything that the ring says
/// from now on.
///
/// This comes before privileges are dropped: another user's `/proc/PID/environ` is not for everybody.
pub(super) fn trace(
    request: &Request,
    probes: &mut Probes,
    ring: &mut Ring,
    tree: &Tree,
) -> Result<Vec<Event>, LiveError> {
    match request.target {
        Target::NextChild => {
            probes.trace_next_child(Tgid(request.stub), SessionNumber::FIRST)?;
            Ok(Vec::new())
        }
        Target::Running(root) => {
            probes.adopt_tree(tree, Tgid(root), SessionNumber::FIRST)?;
            let mut events = Vec::new();
            ring.drain(|record| match record {
                Ok((_, event)) => events.push(event),
                Err(error) => tracing::warn!(%error, "a record of the kernel could not be decoded"),
            });
            describe_adopted(&mut events, tree);
            Ok(events)
        }
    }
}

/// Describes what was adopted and puts it in front: a process is in the tree, and heard of, a moment before its snapshot
/// is in the ring.
pub(crate) fn describe_adopted(events: &mut [Event], tree: &Tree) {
    for event in &mut *events {
        if let Event::Snapshot(running) = event {
            describe(running, tree);
        }
    }
    events.sort_by_key(|event| !matches!(event, Event::Snapshot(_)));
}

/// What `/proc` says counts only if the process has neither exec'd nor ended since it was adopted.
fn describe(running: &mut Exec, tree: &Tree) {
    describe_running(running);
    if tree.exec_number(running.process) != Some(ExecNumber(0)) {
        leave_undescribed(running);
    }
}
