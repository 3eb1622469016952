//! temp
use crate::spans::model::Span;
/// t
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TreeStyle {
    /// t
    pub width: u16,
    /// t
    pub colour: bool,
}
/// t
#[must_use]
pub fn tree(spans: &[Span], _s: TreeStyle, f: &[String]) -> String {
    let mut o = String::new();
    for s in spans {
        o += &format!("{:?}\n", s.name);
    }
    for l in f {
        o += l;
        o += "\n";
    }
    o
}
/// t
#[must_use]
pub fn duration(d: std::time::Duration) -> String {
    format!("{d:?}")
}
/// t
#[must_use]
pub fn width_of(_f: std::os::fd::BorrowedFd<'_>) -> Option<u16> {
    None
}
