//! What this kernel and this user allow, what that means for AgentSight, and how to mend what is missing.
//!
//! [`facts`] looks, at the rim; [`verdicts`] judge, and are pure; [`text`](mod@text) and the report's JSON say it. Nothing is changed:
//! programs that are attached to find out are detached at once, and nobody is asked for a password.

mod facts;
mod report;
mod text;
mod verdicts;

pub use report::{Check, Grade, Group, Need, Report, Status};
pub use text::{Detail, text};

use agentsight_ebpf::live::BtfSource;

use crate::otlp::settings::{Settings, SettingsError};

/// Looks at everything; takes up to some seconds where the backend or sudo do not answer.
///
/// `btf` describes a kernel that has no type information of its own, as for a run.
#[must_use]
pub fn examine(destination: &Result<Settings, SettingsError>, btf: Option<&BtfSource>) -> Report {
    let facts = facts::gather(destination, btf);
    Report {
        agentsight: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: facts.kernel.release.clone(),
        arch: facts.kernel.arch.to_owned(),
        as_root: facts.rights.is_root,
        checks: verdicts::judge(&facts),
    }
}
