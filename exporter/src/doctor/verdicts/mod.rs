//! What the facts mean. Pure: facts in, checks out.

mod backend;
mod clock;
mod daemon;
mod kernel;
mod limits;
mod mounts;
mod programs;
mod rights;
mod store;

use super::facts::Facts;
use super::report::{Check, Group, Need, Status};

/// Every check, in the order in which a person wants them: what stops everything first.
pub(super) fn judge(facts: &Facts) -> Vec<Check> {
    let kernel = [
        kernel::version(facts),
        kernel::type_information(facts),
        kernel::lockdown(facts),
        kernel::unprivileged_bpf(facts),
        kernel::statistics(facts),
        clock::clock(facts),
        mounts::tracefs(facts),
        mounts::bpf_file_system(facts),
        mounts::control_groups(facts),
    ];
    let rights = [
        rights::root(facts),
        rights::capabilities(facts),
        daemon::daemon(facts),
        rights::pid_namespace(facts),
        rights::user_namespace(facts),
        rights::container(facts),
        limits::locked_memory(facts),
        limits::memory(facts),
    ];
    let store = [store::folder(facts), store::free_space(facts), store::collectors(facts)];
    let mut checks = Vec::from(kernel);
    checks.extend(programs::programs(facts));
    checks.extend(rights);
    checks.extend(store);
    checks.push(backend::traces(facts));
    checks
}

/// A check before its verdict.
#[derive(Clone, Copy)]
struct Question {
    id: &'static str,
    group: Group,
    title: &'static str,
    need: Need,
}

impl Question {
    fn ok(self, found: impl Into<String>, means: impl Into<String>) -> Check {
        self.answer(Status::Ok, found, means, None)
    }

    fn limited(self, found: impl Into<String>, means: impl Into<String>, mend: impl Into<String>) -> Check {
        self.answer(Status::Limited, found, means, Some(mend.into()))
    }

    fn broken(self, found: impl Into<String>, means: impl Into<String>, mend: impl Into<String>) -> Check {
        self.answer(Status::Broken, found, means, Some(mend.into()))
    }

    fn unknown(self, found: impl Into<String>, means: impl Into<String>, mend: impl Into<String>) -> Check {
        self.answer(Status::Unknown, found, means, Some(mend.into()))
    }

    fn answer(self, status: Status, found: impl Into<String>, means: impl Into<String>, mend: Option<String>) -> Check {
        let Self { id, group, title, need } = self;
        Check { id, group, title, need, status, found: found.into(), means: means.into(), mend }
    }
}

/// How a user without privileges gets to know what only root can see.
const AS_ROOT: &str = "sudo agentsight doctor";

/// Bytes for people.
fn mebibytes(bytes: u64) -> String {
    match bytes >> 20 {
        mebi @ 10_240.. => format!("{} GiB", mebi >> 10),
        mebi => format!("{mebi} MiB"),
    }
}

#[cfg(test)]
mod fixture;
