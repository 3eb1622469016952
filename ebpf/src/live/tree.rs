//! The kernel's own list of who is traced.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aya::maps::{HashMap, MapData};

use crate::{ExecNumber, ProcessKey, SessionNumber, Tgid};

/// The map of traced processes. It is ahead of the events: a process is in it before its fork is drained.
#[derive(Debug)]
pub struct Tree {
    map: Mutex<HashMap<MapData, u32, [u64; 4]>>,
}

impl Tree {
    pub(super) fn new(map: HashMap<MapData, u32, [u64; 4]>) -> Self {
        Self { map: Mutex::new(map) }
    }

    /// How often a traced process has exec'd since its fork or its adoption; `None` where it is not traced any more.
    #[must_use]
    pub fn exec_number(&self, process: ProcessKey) -> Option<ExecNumber> {
        let entry = self.map().get(&process.tgid.0, 0).ok()?;
        (entry[0] == process.start.0).then(|| exec_of(entry))
    }

    /// Whether a process is traced now.
    #[must_use]
    pub fn contains(&self, process: Tgid) -> bool {
        self.session_of(process).is_some()
    }

    /// The session that traces a process now.
    #[must_use]
    pub fn session_of(&self, process: Tgid) -> Option<SessionNumber> {
        self.map().get(&process.0, 0).ok().map(session_in)
    }

    /// How many processes are traced, of all sessions.
    #[must_use]
    pub fn count(&self) -> usize {
        self.map().keys().count()
    }

    /// A process is traced no longer, unless it is another session's by now. What it forks from here on is not either.
    pub fn release(&self, process: Tgid, session: SessionNumber) {
        let mut map = self.map();
        if map.get(&process.0, 0).is_ok_and(|entry| session_in(entry) == session) {
            // It may have ended just now.
            let _ = map.remove(&process.0);
        }
    }

    /// No process of a session is traced any longer. Who was forked in this very moment is left, and heard of later.
    pub fn release_all(&self, session: SessionNumber) {
        let of_session: Vec<u32> = {
            let map = self.map();
            let entries = map.iter().filter_map(Result::ok);
            entries.filter(|(_, entry)| session_in(*entry) == session).map(|(tgid, _)| tgid).collect()
        };
        for tgid in of_session {
            self.release(Tgid(tgid), session);
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<MapData, u32, [u64; 4]>> {
        // Each call leaves the map as whole as the kernel keeps it.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// struct traced, tree.h: start, then session and exec in one word.
fn session_in([_, session_and_exec, ..]: [u64; 4]) -> SessionNumber {
    let bytes = session_and_exec.to_ne_bytes();
    SessionNumber(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn exec_of([_, session_and_exec, ..]: [u64; 4]) -> ExecNumber {
    let bytes = session_and_exec.to_ne_bytes();
    ExecNumber(u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]))
}
