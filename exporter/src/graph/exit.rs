//! Rule: the exit of a process ends its current image.

use agentsight_ebpf::{Exit, KernelNanos, ProcessKey};

use super::process::Stage;
use super::{Activity, Ended, Ending, Exited, Graph};

impl Graph {
    pub(super) fn exit(&mut self, exit: &Exit, out: &mut Vec<Activity>) {
        if self.processes.get(exit.process).is_some_and(|it| it.ended.is_some()) {
            self.oddities.repeated_exits += 1;
            return;
        }
        if self.is_too_late(exit.process, exit.at) {
            self.oddities.late_events += 1;
            return;
        }
        let image = self.image_numbered(exit.process, exit.exec, exit.at, None, out);
        self.remember_exit(&image);
        self.end_image(exit.process, exit.at, Ending::Exited(*exit), out);
    }

    /// The current image of a live process ends; unless another replaces it, the process does too.
    pub(super) fn end_image(&mut self, process: ProcessKey, at: KernelNanos, ending: Ending, out: &mut Vec<Activity>) {
        self.begin(process, at, out);
        self.resolve_flows(process, at, out);
        let account = self.take_account(process);
        let Some(known) = self.processes.get(process) else { return };
        let at = at.max(known.image.start);
        let image = known.image.clone();
        let place = match known.stage {
            Stage::Promoted => self.place_exit(process, &account, at, out),
            Stage::Unannounced | Stage::Begun => None,
        };
        out.push(match place {
            Some(under) => Activity::ImageExited(Box::new(Exited { image, at, ending, account, under })),
            None => Activity::ImageEnded(Box::new(Ended { image, at, ending, account })),
        });
        if self.processes.has_juniors(process) {
            self.opens.share_all_of(process);
        }
        self.processes.hand_over_juniors(process);
        if !matches!(ending, Ending::Replaced { .. }) {
            self.opens.end_of_process(process, at);
            self.connections.end_of_process(process, at);
            self.processes.bury(process, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn code_and_signal_are_told_apart() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exit 101 signal 15
                4 exit 100 143
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                ended    101#0 2..3 signal 15
                ended    100#1 0..4 exit 143
            "#]],
        );
    }

    #[test]
    fn a_second_exit_is_counted_and_nothing_else() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                4 exit 100 0
                5 exit 100 1
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                ended    100#1 0..4 exit 0
                odd      repeated_exits: 1
            "#]],
        );
    }

    #[test]
    fn an_exit_of_an_unseen_process_is_all_that_is_known_of_it() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                4 exit 777 1
                5 exit 100 1
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    777#0 Unseen bash/? under 100#1 (0.9)
                ended    777#0 0..4 exit 1
                ended    100#1 0..5 exit 1
                odd      unseen_forks: 1
            "#]],
        );
    }

    #[test]
    fn what_still_lives_at_the_end_is_incomplete() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                11s tick
                12s fork 100 102
                12s exec 102 /bin/sleep sleep
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                promoted 100#1 0..11000
                began    101#0 Forked bash/bash under 100#1
                promoted 101#0 2..11000
                began    102#1 Exec bash/sleep under 100#1
                exited   100#1 0..20000 incomplete
                exited   101#0 2..20000 incomplete
                ended    102#1 12000..20000 incomplete
            "#]],
        );
    }
}
