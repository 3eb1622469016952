//! The report: one check after the other, and what they come to.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// All that was found. As JSON an object: `agentsight`, `kernel`, `arch` (strings), `as_root` (boolean), `status`
/// (`ok`, `limited`, `broken`), `exit_code` (0, 1, 2) and `checks`, an array of [`Check`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Version of this program.
    pub agentsight: String,
    /// Release of the running kernel.
    pub kernel: String,
    /// Of the processor, as the kernel calls it.
    pub arch: String,
    /// Whether everything could be looked at.
    pub as_root: bool,
    /// In the order in which they are shown.
    pub checks: Vec<Check>,
}

/// One thing that was looked at. As JSON an object of these members in lower case; `mend` is null where nothing needs
/// mending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Never changes between versions.
    pub id: &'static str,
    /// Where it belongs.
    pub group: Group,
    /// For people.
    pub title: &'static str,
    /// What AgentSight wants it for.
    pub need: Need,
    /// Whether it is there.
    pub status: Status,
    /// What was seen.
    pub found: String,
    /// What that means for AgentSight.
    pub means: String,
    /// The command that mends it, or what to do where no command can.
    pub mend: Option<String>,
}

/// Where a check belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// What the kernel is and has.
    Kernel,
    /// What it lets eBPF programs do.
    Programs,
    /// What this user, or this container, may do.
    Rights,
    /// Where spans are kept.
    Store,
    /// Where spans are sent.
    Backend,
}

/// What AgentSight wants something for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Without it nothing is traced.
    Needed,
    /// Without it something is missing.
    Feature,
    /// Without it the same is done slower.
    Speed,
    /// It is good to know, and nothing depends on it.
    Information,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is.
    Ok,
    /// In part.
    Limited,
    /// It is not.
    Broken,
    /// It could not be seen.
    Unknown,
}

/// How much a check, or the whole, gets in the way; also the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// All that is needed is there: 0.
    Fine = 0,
    /// Tracing works, or may work, but not all of it: 1.
    Limited = 1,
    /// Tracing cannot work: 2.
    Broken = 2,
}

impl Check {
    /// How much it gets in the way.
    #[must_use]
    pub fn grade(&self) -> Grade {
        match (self.need, self.status) {
            (_, Status::Ok) | (Need::Speed | Need::Information, _) => Grade::Fine,
            (Need::Needed, Status::Broken) => Grade::Broken,
            (Need::Needed, Status::Limited | Status::Unknown) | (Need::Feature, _) => Grade::Limited,
        }
    }
}

impl Report {
    /// The worst of its checks.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.checks.iter().map(Check::grade).max().unwrap_or(Grade::Fine)
    }

    /// 0 where all that is needed is there, 1 where something is limited or could not be seen, 2 where tracing cannot
    /// work.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.grade() as u8
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Report", 7)?;
        object.serialize_field("agentsight", &self.agentsight)?;
        object.serialize_field("kernel", &self.kernel)?;
        object.serialize_field("arch", &self.arch)?;
        object.serialize_field("as_root", &self.as_root)?;
        let status = match self.grade() {
            Grade::Fine => Status::Ok,
            Grade::Limited => Status::Limited,
            Grade::Broken => Status::Broken,
        };
        object.serialize_field("status", &status)?;
        object.serialize_field("exit_code", &self.exit_code())?;
        object.serialize_field("checks", &self.checks)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grade(need: Need, status: Status) -> Grade {
        let (found, means) = (String::new(), String::new());
        Check { id: "x", group: Group::Kernel, title: "x", need, status, found, means, mend: None }.grade()
    }

    #[test]
    fn only_what_is_needed_and_missing_stops_tracing_and_what_is_only_faster_never_matters() {
        use Status::{Broken, Limited, Ok, Unknown};
        let grades = |need| [Ok, Limited, Broken, Unknown].map(|status| grade(need, status));
        assert_eq!(grades(Need::Needed), [Grade::Fine, Grade::Limited, Grade::Broken, Grade::Limited]);
        assert_eq!(grades(Need::Feature), [Grade::Fine, Grade::Limited, Grade::Limited, Grade::Limited]);
        assert_eq!(grades(Need::Speed), [Grade::Fine; 4]);
        assert_eq!(grades(Need::Information), [Grade::Fine; 4]);
    }
}
