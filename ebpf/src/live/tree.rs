//! The kernel's own list of who is traced.

use aya::maps::{HashMap, MapData};

use crate::Tgid;

/// The map of traced processes, for reading. It is ahead of the events: a process is in it before its fork is drained.
#[derive(Debug)]
pub struct Tree {
    map: HashMap<MapData, u32, [u64; 2]>,
}

impl Tree {
    pub(super) fn new(map: HashMap<MapData, u32, [u64; 2]>) -> Self {
        Self { map }
    }

    /// Whether a process is traced now.
    #[must_use]
    pub fn contains(&self, process: Tgid) -> bool {
        self.map.get(&process.0, 0).is_ok()
    }
}
