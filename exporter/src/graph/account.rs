//! What an image did beside moving data: its notes, in order of time, and its numbers.

use agentsight_ebpf::ProcessKey;

use super::{Account, Graph};

impl Graph {
    /// What a process did since it was last asked; from here on it is counted anew.
    pub(super) fn take_account(&mut self, process: ProcessKey) -> Account {
        let Some(known) = self.processes.get_mut(process) else { return Account::default() };
        let folded = std::mem::take(&mut known.deeds.folding).counts;
        Account { folded, ..Account::default() }
    }
}
