//! Rule: an image that outlives `live_after` is promoted, so that its span is seen while it runs.

use agentsight_ebpf::KernelNanos;

use super::process::Stage;
use super::{Activity, Graph, Promoted};

impl Graph {
    pub(super) fn promote(&mut self, now: KernelNanos, out: &mut Vec<Activity>) {
        let before = KernelNanos(now.0.saturating_sub(self.rules.live_after.0));
        while let Some(process) = self.processes.take_unpromoted_before(before) {
            self.begin(process, now, out);
            self.resolve_flows(process, now, out);
            let account = self.take_account(process);
            if let Some(known) = self.processes.get_mut(process) {
                known.stage = Stage::Promoted;
                out.push(Activity::ImagePromoted(Box::new(Promoted {
                    image: known.image.clone(),
                    at: now,
                    newest: known.newest(),
                    account,
                })));
                // What its end says of causes is what came since.
                known.image.causes.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn an_image_that_outlives_ten_seconds_is_sent_while_it_runs() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                10s tick
                11s tick
                12s tick
                13s exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                promoted 100#1 0..11000
                exited   100#1 0..13000 exit 0
            "#]],
        );
    }

    #[test]
    fn a_promoted_image_that_execs_exits_into_the_next() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                11s tick
                12s exec 100 /bin/sleep sleep
                13s exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                promoted 100#1 0..11000
                exited   100#1 0..12000 into 100#2
                began    100#2 Exec bash/sleep under 100#1 <-Exec 100#1
                ended    100#2 12000..13000 exit 0
            "#]],
        );
    }
}
