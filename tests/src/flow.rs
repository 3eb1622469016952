//! What went from one process to another, as whoever saw it says it.

use std::collections::BTreeSet;
use std::fmt;

/// Bytes that one process put somewhere and another took from there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Process id.
    pub writer: u32,
    /// Process id.
    pub reader: u32,
    /// A file's path as the reader knew it, else `pipe`, `unix`, `tcp` or `udp`.
    pub object: String,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} by {}", self.writer, self.reader, self.object)
    }
}

/// What a witness that cannot see everything says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witnessed {
    /// These there were.
    pub certain: BTreeSet<Flow>,
    /// No others than these can have been; those that are certain are among them.
    pub possible: BTreeSet<Flow>,
}

impl Witnessed {
    /// What is wrong with what another saw, a line each.
    #[must_use]
    pub fn differences(&self, seen: &BTreeSet<Flow>) -> Vec<String> {
        let missed = self.certain.difference(seen).map(|flow| format!("missed: {flow}"));
        let invented = seen.difference(&self.possible).map(|flow| format!("invented: {flow}"));
        missed.chain(invented).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_and_what_is_invented_is_said_and_what_may_be_is_not() {
        let flow = |writer| Flow { writer, reader: 9, object: "pipe".into() };
        let witnessed = Witnessed { certain: BTreeSet::from([flow(1)]), possible: BTreeSet::from([flow(1), flow(2)]) };
        assert_eq!(witnessed.differences(&BTreeSet::from([flow(1)])), Vec::<String>::new());
        assert_eq!(witnessed.differences(&BTreeSet::from([flow(1), flow(2)])), Vec::<String>::new());
        let found = witnessed.differences(&BTreeSet::from([flow(3)]));
        assert_eq!(found, ["missed: 1 -> 9 by pipe", "invented: 3 -> 9 by pipe"]);
    }
}
