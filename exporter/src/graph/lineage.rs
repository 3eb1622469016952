//! The executables from the root to an image, short enough to stand on every span.

use std::borrow::Cow;

use agentsight_ebpf::Exec;

use super::image::executable_name;

/// Bytes that a lineage may have.
const LIMIT: usize = 256;
const ELISION: &str = "…";
/// Stands for an image whose exec was not seen.
const UNKNOWN: &str = "?";

/// Names of executables joined by `/` (`claude/bash/make/cc1`); the middle is elided past 256 bytes.
///
/// Bounded on its own, not on reading, because it is carried by every live image and grows with each fork.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    text: String,
    /// Where the last name begins in `text`.
    last_name: usize,
    /// Bytes at the start of `text` that stand for good, once something was elided after them.
    kept_head: Option<usize>,
}

impl Lineage {
    /// The lineage of an image that nobody here started.
    pub(super) fn root(program: Option<&Exec>) -> Self {
        Self::default().child(program)
    }

    /// The lineage of an image that this one's image started.
    pub(super) fn child(&self, program: Option<&Exec>) -> Self {
        let mut text = self.text.clone();
        if !text.is_empty() {
            text.push('/');
        }
        Self { last_name: text.len(), text, kept_head: self.kept_head }.with_program(program)
    }

    /// The same ancestors, with another program at the end.
    pub(super) fn with_program(mut self, program: Option<&Exec>) -> Self {
        let name = program.and_then(executable_name).unwrap_or(Cow::Borrowed(UNKNOWN));
        let name = name.replace(char::is_control, "\u{fffd}");
        self.text.truncate(self.last_name);
        // A quarter, so that the last name always has room beside the head and the ellipsis.
        self.text.push_str(cut(&name, LIMIT / 4));
        self.bounded()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn bounded(mut self) -> Self {
        if self.text.len() <= LIMIT {
            return self;
        }
        let head = self.kept_head.unwrap_or_else(|| end_of_name_before(&self.text, LIMIT / 2));
        let room = LIMIT - head - ELISION.len();
        let tail = start_of_name_after(&self.text, self.text.len() - room);
        self.text.replace_range(head..tail, ELISION);
        self.last_name = self.last_name + head + ELISION.len() - tail;
        self.kept_head = Some(head);
        self
    }
}

/// The index just after the last `/` that is not past `limit`.
fn end_of_name_before(text: &str, limit: usize) -> usize {
    text.bytes().take(limit).rposition(|byte| byte == b'/').map_or(0, |slash| slash + 1)
}

/// The index of the first `/` from `from` on: what follows is whole names.
fn start_of_name_after(text: &str, from: usize) -> usize {
    text.bytes().skip(from).position(|byte| byte == b'/').map_or(text.len(), |slash| from + slash)
}

fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Captured;

    use super::*;
    use crate::graph::fixture::exec_of;

    fn lineage_of(names: &[&str]) -> Lineage {
        names.iter().fold(Lineage::default(), |parent, name| parent.child(Some(&exec_of(name))))
    }

    #[test]
    fn names_are_joined_from_the_root_on() {
        assert_eq!(
            lineage_of(&["/usr/bin/claude", "/bin/bash", "make", "/usr/lib/gcc/cc1"]).as_str(),
            "claude/bash/make/cc1"
        );
    }

    #[test]
    fn the_middle_is_elided_past_256_bytes_and_the_ends_stay() {
        let names: Vec<String> = (0..200).map(|n| format!("program-{n:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = lineage_of(&names);
        assert!(text.as_str().len() <= LIMIT, "{} bytes", text.as_str().len());
        assert!(text.as_str().starts_with("program-000/program-001/"), "{}", text.as_str());
        assert!(text.as_str().ends_with("/program-198/program-199"), "{}", text.as_str());
        assert_eq!(text.as_str().matches(ELISION).count(), 1);
    }

    #[test]
    fn names_of_any_bytes_and_length_stay_within_the_limit() {
        for byte in [0xff, 0x07, b'a'] {
            let mut exec = exec_of("x");
            exec.executable = Captured::whole([b"/bin/".as_slice(), &[byte; 300]].concat());
            let mut lineage = Lineage::root(Some(&exec));
            for _ in 0..20 {
                lineage = lineage.child(Some(&exec)).with_program(Some(&exec));
                assert!(lineage.as_str().len() <= LIMIT);
            }
        }
    }

    #[test]
    fn an_unseen_exec_is_a_question_mark() {
        assert_eq!(Lineage::root(None).child(Some(&exec_of("ls"))).as_str(), "?/ls");
    }
}
