//! Whether `run` can do without sudo.

use super::Question;
use crate::doctor::facts::{Answer, Facts};
use crate::doctor::report::{Check, Group, Need};

pub(super) fn daemon(facts: &Facts) -> Check {
    let check = Question { id: "rights.daemon", group: Group::Rights, title: "daemon", need: Need::Feature };
    let socket = facts.daemon.socket.display();
    match &facts.daemon.answer {
        Answer::Hello => check
            .ok(format!("answers at {socket}"), "run needs no sudo, and everybody may attach to their own processes."),
        Answer::Nobody => check.ok("none is running", "run starts a collector of its own, as root or by sudo."),
        Answer::Unusable(why) => check.limited(
            format!("{socket}: {why}"),
            "run does not use it, and starts a collector of its own, as root or by sudo.",
            "sudo systemctl restart agentsight",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;
    use crate::doctor::verdicts::fixture::well;

    #[test]
    fn no_daemon_is_well_and_one_that_does_not_understand_us_is_not() {
        let status = |answer| {
            let mut facts = well();
            facts.daemon.answer = answer;
            daemon(&facts).status
        };
        assert_eq!(status(Answer::Nobody), Status::Ok);
        assert_eq!(status(Answer::Hello), Status::Ok);
        assert_eq!(status(Answer::Unusable("it says no hello".to_owned())), Status::Limited);
    }
}
