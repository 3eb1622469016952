//! Who may have what traced: everybody their own processes, root everybody's. Pure but for what it is told.

use agentsight_ebpf::Tgid;

use crate::channel::{Request, Target};

/// Who is at the other end of the socket, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its process.
    pub(crate) process: Tgid,
    /// Its user.
    pub(crate) uid: u32,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The request speaks for another process.
    #[error("process {} asked in the name of process {named}", peer.0)]
    Stranger { peer: Tgid, named: u32 },
    /// Its process is none that the kernel can name to us.
    #[error("the daemon cannot see the process that asks: it runs in a pid namespace that is not below the host's")]
    Unseen,
    /// The process to be traced is another user's.
    #[error(
        "process {process} is not one of your own (its user is {owner}); root may trace it: sudo agentsight attach --pid {process}"
    )]
    NotYours { process: u32, owner: u32 },
    /// There is no such process.
    #[error("no process has the id {process} (it may have ended)")]
    NoSuchProcess { process: u32 },
}

/// Whether `peer` may have what it asks for; `user_ids` tells a process's users (real, effective, saved, file system).
pub(crate) fn admit(peer: Peer, request: &Request, user_ids: impl Fn(Tgid) -> Option<[u32; 4]>) -> Result<(), Refusal> {
    if peer.process == Tgid(0) {
        return Err(Refusal::Unseen);
    }
    if request.stub != peer.process.0 {
        return Err(Refusal::Stranger { peer: peer.process, named: request.stub });
    }
    let Target::Running(process) = request.target else { return Ok(()) };
    let ids = user_ids(Tgid(process)).ok_or(Refusal::NoSuchProcess { process })?;
    // Of a program that runs with another user's rights, arguments and files are that user's too.
    match ids.into_iter().find(|id| *id != peer.uid) {
        Some(owner) if peer.uid != 0 => Err(Refusal::NotYours { process, owner }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agentsight_ebpf::CapturePolicy;

    use super::*;
    use crate::otlp::settings::Settings;
    use crate::session::{CallerContext, SessionOptions};

    fn request(stub: u32, target: Target) -> Request {
        Request {
            stub,
            target,
            uid: 0,
            options: SessionOptions::default(),
            context: CallerContext::default(),
            linger: Duration::ZERO,
            destination: Settings::default(),
            outputs: Vec::new(),
            summary: None,
            ring_bytes: None,
            data_ring_bytes: None,
            perf_buffer: false,
            btf: None,
            self_telemetry: false,
            capture: CapturePolicy::default(),
            content_ring_bytes: None,
        }
    }

    fn answer(uid: u32, target: Target, ids: Option<[u32; 4]>) -> Result<(), Refusal> {
        admit(Peer { process: Tgid(7), uid }, &request(7, target), |_| ids)
    }

    #[test]
    fn everybody_may_have_their_own_processes_traced_and_root_everybodys() {
        assert_eq!(answer(1000, Target::NextChild, None), Ok(()));
        assert_eq!(answer(1000, Target::Running(9), Some([1000; 4])), Ok(()));
        assert_eq!(answer(0, Target::Running(9), Some([1000; 4])), Ok(()));
        for ids in [[1001; 4], [1000, 0, 0, 0], [1000, 1000, 0, 1000]] {
            assert!(matches!(answer(1000, Target::Running(9), Some(ids)), Err(Refusal::NotYours { process: 9, .. })));
        }
        assert_eq!(answer(1000, Target::Running(9), None), Err(Refusal::NoSuchProcess { process: 9 }));
    }

    #[test]
    fn nobody_may_speak_for_another_process() {
        let stranger = admit(Peer { process: Tgid(8), uid: 0 }, &request(7, Target::NextChild), |_| None);
        assert_eq!(stranger, Err(Refusal::Stranger { peer: Tgid(8), named: 7 }));
        let unseen = admit(Peer { process: Tgid(0), uid: 0 }, &request(0, Target::NextChild), |_| None);
        assert_eq!(unseen, Err(Refusal::Unseen));
    }
}
