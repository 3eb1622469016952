//! The kernel's own list of who is traced.

use aya::maps::{HashMap, MapData};

use crate::{ExecNumber, ProcessKey, Tgid};

/// The map of traced processes, for reading. It is ahead of the events: a process is in it before its fork is drained.
#[derive(Debug)]
pub struct Tree {
    map: HashMap<MapData, u32, [u64; 3]>,
}

impl Tree {
    pub(super) fn new(map: HashMap<MapData, u32, [u64; 3]>) -> Self {
        Self { map }
    }

    /// How often a traced process has exec'd since its fork or its adoption; `None` where it is not traced any more.
    #[must_use]
    pub fn exec_number(&self, process: ProcessKey) -> Option<ExecNumber> {
        // struct traced, tree.h: start, then session and exec in one word.
        let [start, session_and_exec, _] = self.map.get(&process.tgid.0, 0).ok()?;
        if start != process.start.0 {
            return None;
        }
        let bytes = session_and_exec.to_ne_bytes();
        Some(ExecNumber(u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])))
    }

    /// Whether a process is traced now.
    #[must_use]
    pub fn contains(&self, process: Tgid) -> bool {
        self.map.get(&process.0, 0).is_ok()
    }
}
