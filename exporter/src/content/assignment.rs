//! Which input each part of an output is from, where several have it: the nearest; of equally near ones all.

use std::ops::Range;

use super::evidence::Likeness;
use super::index::{Moment, ObjectId};
use super::matcher::Nearness;

/// Of two runs that overlap by more than this share, one is the other's rival.
const RIVAL: f64 = 0.9;

/// A place in the output that an input has too.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) number: u32,
    pub(super) object: ObjectId,
    pub(super) nearness: Nearness,
    pub(super) taken_at: Moment,
    pub(super) likeness: Likeness,
    pub(super) held_at: Range<usize>,
    pub(super) text_at: Range<usize>,
    /// What is compared in the output: for a value, without its name.
    pub(super) compared: Range<usize>,
    pub(super) confidence: f64,
}

/// Candidates for one place that are as near as each other; at least one.
pub(super) struct Group {
    pub(super) candidates: Vec<Candidate>,
}

/// Choose. `shortest`: what is left of a run must have so many bytes to count beside what others claim.
pub(super) fn assign(mut candidates: Vec<Candidate>, shortest: usize) -> Vec<Group> {
    candidates.sort_by(|a, b| {
        let surest = b.confidence.total_cmp(&a.confidence);
        let order = a.nearness.cmp(&b.nearness).then(a.likeness.cmp(&b.likeness)).then(surest);
        let longest = b.compared.len().cmp(&a.compared.len());
        let newest = b.taken_at.cmp(&a.taken_at);
        order.then(longest).then(newest).then(a.text_at.start.cmp(&b.text_at.start)).then(a.number.cmp(&b.number))
    });
    let mut groups: Vec<Group> = Vec::new();
    for candidate in candidates {
        let free = free_bytes(&candidate.compared, &groups);
        let length = candidate.compared.len();
        let is_new = match candidate.likeness {
            Likeness::Run => free >= shortest.min(length),
            Likeness::Token | Likeness::Value | Likeness::Argument => free == length,
        };
        if is_new {
            groups.push(Group { candidates: vec![candidate] });
        } else if let Some(group) = groups.iter_mut().find(|group| is_rival(&candidate, group)) {
            group.candidates.push(candidate);
        }
    }
    groups
}

/// As near, as long, and from elsewhere.
fn is_rival(candidate: &Candidate, group: &Group) -> bool {
    let first = &group.candidates[0];
    let (a, b) = (&candidate.compared, &first.compared);
    let overlap = a.end.min(b.end).saturating_sub(a.start.max(b.start));
    let share = overlap as f64 / a.len().max(b.len()).max(1) as f64;
    candidate.nearness == first.nearness
        && candidate.likeness == first.likeness
        && share >= RIVAL
        && (candidate.confidence - first.confidence).abs() < f64::EPSILON
        && group.candidates.iter().all(|other| other.object != candidate.object)
}

fn free_bytes(range: &Range<usize>, groups: &[Group]) -> usize {
    let claims = groups.iter().map(|group| &group.candidates[0].compared);
    let mut inside: Vec<Range<usize>> = claims
        .map(|claim| claim.start.max(range.start)..claim.end.min(range.end))
        .filter(|claim| claim.start < claim.end)
        .collect();
    inside.sort_by_key(|claim| claim.start);
    let (mut covered, mut at) = (0, range.start);
    for claim in inside {
        covered += claim.end.saturating_sub(claim.start.max(at));
        at = at.max(claim.end);
    }
    range.len() - covered
}
