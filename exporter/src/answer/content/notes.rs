//! What contents do not say of themselves: whether they are whole.

use super::counted;
use crate::spans::model::SpanContent;

/// Sentences on what is missing, redacted or cut; none where the contents are whole and as they were.
#[must_use]
pub fn notes(content: &SpanContent) -> Vec<String> {
    let layout = &content.layout;
    let mut notes = Vec::new();
    if let Some(&(offset, _)) = layout.runs.first().filter(|(offset, _)| *offset > 0) {
        notes.push(format!("the first byte stood at {offset}"));
    }
    let sum = |lengths: &mut dyn Iterator<Item = u64>| lengths.fold(0, u64::saturating_add);
    let missing = sum(&mut layout.holes.iter().map(|hole| hole.range.end.saturating_sub(hole.range.start)));
    if !layout.holes.is_empty() {
        notes.push(format!("{} missing, in {}", counted(missing, "byte"), counted(layout.holes.len() as u64, "place")));
    }
    let redacted = sum(&mut layout.redacted.iter().map(|range| range.end.saturating_sub(range.start)));
    if !layout.redacted.is_empty() {
        let places = counted(layout.redacted.len() as u64, "place");
        notes.push(format!("{} redacted, in {places}", counted(redacted, "byte")));
    }
    if layout.lost_chunks > 0 {
        notes.push(format!("{} lost between the kernel and the store", counted(layout.lost_chunks, "chunk")));
    }
    if !layout.complete {
        notes.push("the capture ended before the transfer did: more may have followed".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Missing;

    use super::super::piece::tests::content;
    use super::*;

    #[test]
    fn whole_contents_need_no_words() {
        assert_eq!(notes(&content(&[(0, b"bytes")], &[], &[])), [""; 0]);
    }

    #[test]
    fn what_is_not_whole_says_so() {
        let mut odd = content(&[(7, b"b****")], &[(8, 10), (11, 12)], &[(12, 13, Missing::Budget)]);
        odd.layout.lost_chunks = 2;
        odd.layout.complete = false;
        assert_eq!(
            notes(&odd),
            [
                "the first byte stood at 7",
                "1 byte missing, in 1 place",
                "3 bytes redacted, in 2 places",
                "2 chunks lost between the kernel and the store",
                "the capture ended before the transfer did: more may have followed",
            ]
        );
    }
}
