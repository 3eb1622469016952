//! Actions as people ask for them: one by its name, or a group.

use agentsight_semconv::value::{action, object_type};

/// What spans are asked for: of these objects, with these actions; where a list is empty, of any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// `agentsight.object.type`.
    pub objects: &'static [&'static str],
    /// `agentsight.action`.
    pub actions: &'static [&'static str],
}

/// The groups, by their names.
pub const GROUPS: [(&str, Kind); 5] = [
    ("network", Kind { objects: &[object_type::TCP, object_type::UDP, object_type::IP], actions: &[] }),
    ("file", Kind { objects: &[object_type::FILE], actions: &[] }),
    ("process", Kind { objects: &[object_type::PROCESS], actions: &[] }),
    ("dns", Kind { objects: &[object_type::DNS], actions: &[] }),
    ("ipc", Kind { objects: &[object_type::PIPE, object_type::UNIX, object_type::TTY], actions: &[] }),
];

impl Kind {
    /// The group or the action of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let group = GROUPS.iter().find(|(group, _)| *group == name).map(|(_, kind)| *kind);
        group.or_else(|| {
            let place = action::ALL.iter().position(|action| *action == name)?;
            Some(Self { objects: &[], actions: &action::ALL[place..=place] })
        })
    }

    /// The name by which [`parse`](Self::parse) knows it; `None` where it knows none.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        let group = GROUPS.iter().find(|(_, kind)| kind == self).map(|(group, _)| *group);
        group.or(match (self.objects, self.actions) {
            ([], [action]) => Some(action),
            _ => None,
        })
    }

    /// All names that [`parse`](Self::parse) knows, for whoever mistyped one.
    #[must_use]
    pub fn names() -> String {
        GROUPS.iter().map(|(group, _)| *group).chain(action::ALL.iter().copied()).collect::<Vec<_>>().join(", ")
    }

    /// Whether a span with these two is asked for.
    #[must_use]
    pub fn takes(&self, object: Option<&str>, action: Option<&str>) -> bool {
        let is_in =
            |list: &[&str], word: Option<&str>| list.is_empty() || word.is_some_and(|word| list.contains(&word));
        is_in(self.objects, object) && is_in(self.actions, action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_takes_every_action_on_its_objects_and_an_action_every_object() {
        let network = Kind::parse("network").unwrap();
        assert!(network.takes(Some("tcp"), Some("read")) && !network.takes(Some("file"), Some("read")));
        let read = Kind::parse("read").unwrap();
        assert!(read.takes(Some("file"), Some("read")) && !read.takes(Some("file"), Some("write")));
        assert!(!read.takes(None, None), "a span of another program does nothing that we know");
        assert_eq!(Kind::parse("reed"), None);
    }

    #[test]
    fn every_object_is_in_a_group() {
        for object in object_type::ALL {
            let groups = GROUPS.iter().filter(|(_, kind)| kind.objects.contains(object)).count();
            assert_eq!(groups, 1, "{object}");
        }
    }
}
