//! Rule: nothing is its own cause, however far back.
//!
//! Time alone forbids that of data and `flow`. A copy is one call with two ends, so two programs that copy to each other
//! in long bursts could close a circle: what a burst that has not left has led to already is remembered until it leaves.

use std::collections::{BTreeMap, BTreeSet};

use agentsight_ebpf::BurstId;

#[derive(Default)]
pub(super) struct Circles {
    /// Of a burst that has left those among its causes, however far back, that have not.
    open_causes: BTreeMap<BurstId, BTreeSet<BurstId>>,
    /// Of a burst that has not left those that follow from it and have.
    followers: BTreeMap<BurstId, Vec<BurstId>>,
}

impl Circles {
    /// Whether the effect, which leaves now, led to the cause itself.
    pub(super) fn would_close(&self, cause: BurstId, effect: BurstId) -> bool {
        cause == effect || self.open_causes.get(&cause).is_some_and(|open| open.contains(&effect))
    }

    /// The effect leaves with these causes; `has_left` says which of them have.
    pub(super) fn leave(
        &mut self,
        effect: BurstId,
        causes: impl Iterator<Item = BurstId>,
        has_left: impl Fn(BurstId) -> bool,
    ) {
        let mut open = BTreeSet::new();
        for cause in causes {
            if !has_left(cause) {
                open.insert(cause);
            }
            open.extend(self.open_causes.get(&cause).into_iter().flatten());
        }
        let mut waiting = self.followers.remove(&effect).unwrap_or_default();
        for follower in &waiting {
            let Some(causes) = self.open_causes.get_mut(follower) else { continue };
            causes.remove(&effect);
            causes.extend(&open);
            if causes.is_empty() {
                self.open_causes.remove(follower);
            }
        }
        if open.is_empty() {
            return;
        }
        waiting.push(effect);
        for cause in &open {
            self.followers.entry(*cause).or_default().extend(&waiting);
        }
        self.open_causes.insert(effect, open);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open_causes.len() + self.followers.len()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn two_programs_that_copy_to_each_other_are_no_circle() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 fork 100 101
                3 open 100 #1 created file f
                3 open 100 #2 created file g
                3 open 101 #3 file g
                3 open 101 #4 file f
                4 in 100 #1.1 0..
                4 out 100 #2.1 0.. first 3
                5 in 101 #3.1 0..
                5 out 101 #4.1 0.. first 4
                8 end #1.1 100 coalesced
                8 end #2.1 100 coalesced
                8 copied #1.1 #2.1 100
                9 end #3.1 100 coalesced
                9 end #4.1 100 coalesced
                9 copied #3.1 #4.1 100
                2s tick
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#0 Forked sh/sh under 100#1
                promised #4.1
                read     #1.1 100#1 f 0..100 at 4..8 under 100#1 coalesced <-File #4.1 100 (0.8)
                write    #2.1 100#1 g 0..100 at 3..8 under 100#1 coalesced <-Copy #1.1 100
                read     #3.1 101#0 g 0..100 at 5..9 under 101#0 coalesced <-File #2.1 100 (0.8)
                write    #4.1 101#0 f 0..100 at 4..9 under 101#0 coalesced dropped 1
                ended    100#1 0..20000 incomplete
                ended    101#0 2..20000 incomplete
            "#]],
        );
    }
}
