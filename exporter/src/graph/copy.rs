//! Rule: bytes that the kernel copied came from the burst that read them, in the same call.

use std::sync::Arc;

use agentsight_ebpf::{Copied, Direction};

use super::Graph;
use super::burst::{Burst, Shown};
use super::edges::EDGES_MAX;

impl Graph {
    pub(super) fn copied(&mut self, copied: &Copied) {
        let from = match self.bursts.by_id.get(&copied.from) {
            Some(Burst::Shown(from)) => Arc::clone(&from.moved),
            // It has no span to link to.
            Some(Burst::Folded { .. }) => return,
            None => {
                self.oddities.unseen_copies += 1;
                return;
            }
        };
        let is_one_call = |to: &&mut Shown| {
            from.direction == Direction::In
                && to.moved.direction == Direction::Out
                && to.moved.image.id == from.image.id
        };
        let Some(to) = self.bursts.shown_mut(copied.to).filter(is_one_call) else {
            self.oddities.unseen_copies += 1;
            return;
        };
        let known = to.copied.iter().position(|(known, _)| known.id == from.id);
        if let Some(place) = known {
            let bytes = &mut to.copied[place].1;
            *bytes = bytes.saturating_add(copied.bytes);
        } else if to.copied.len() < EDGES_MAX {
            to.copied.push((from, copied.bytes));
        } else {
            to.copies_dropped = to.copies_dropped.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn a_copy_is_linked_to_its_source_and_counted_together() {
        check(
            "
                0 root 100
                1 exec 100 /bin/cat cat
                2 open 100 #1 file in.txt
                2 open 100 #2 created file out.txt
                3 in 100 #1.1 0..
                3 out 100 #2.1 0.. first 2
                4 copied #1.1 #2.1 2000
                5 copied #1.1 #2.1 1000
                5 end #1.1 3000
                5 end #2.1 3000
                6 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root cat under -
                ended    100#1 0..6 exit 0
                read     #1.1 100#1 in.txt 0..3000 at 3..5 under 100#1
                write    #2.1 100#1 out.txt 0..3000 at 2..5 under 100#1 <-Copy #1.1 3000
            "#]],
        );
    }

    #[test]
    fn a_copy_is_not_missed_as_a_flow_too() {
        check(
            "
                0 root 100
                1 exec 100 /bin/cat cat
                2 open 100 #1 file in.txt
                2 open 100 #2 created file out.txt
                3 in 100 #1.1 0.. source 1
                3 out 100 #2.1 0.. flow 0..1
                4 copied #1.1 #2.1 2000
                5 end #1.1 2000
                5 end #2.1 2000
                6 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root cat under -
                ended    100#1 0..6 exit 0
                read     #1.1 100#1 in.txt 0..2000 at 3..5 under 100#1
                write    #2.1 100#1 out.txt 0..2000 at 3..5 under 100#1 <-Copy #1.1 2000
            "#]],
        );
    }

    #[test]
    fn a_copy_of_what_is_not_known_is_counted() {
        check(
            "
                0 root 100
                1 exec 100 /bin/cat cat
                2 open 100 #2 created file out.txt
                3 out 100 #2.1 0..10
                3 copied #1.1 #2.1 10
                4 open 100 #3 file /usr/share/doc/x
                5 in 100 #3.1 0..10
                5 out 100 #2.2 10..20
                5 copied #3.1 #2.2 10
            ",
            &expect![[r#"
                began    100#1 Root cat under -
                write    #2.1 100#1 out.txt 0..10 at 3..3 under 100#1
                write    #2.2 100#1 out.txt 10..20 at 5..5 under 100#1
                ended    100#1 0..20000 incomplete folded 1 files 1 bursts 10 bytes
                odd      unseen_copies: 2
            "#]],
        );
    }
}
