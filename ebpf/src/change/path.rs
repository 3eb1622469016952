//! A path as a caller gave it, made absolute.

use crate::Captured;

/// `given`, from `base` on where it is relative; `base` is as the kernel walked it, without links. Steps that say nothing
/// (`.`, `//`) are left out; `..` is walked only where it leads up from `base`: behind a name it may be a link's.
pub(super) fn absolute(base: &Captured, given: Captured) -> Captured {
    if given.bytes.is_empty() && given.gap.is_none() {
        // The descriptor itself (AT_EMPTY_PATH), or no path at all.
        return base.clone();
    }
    let is_relative = given.bytes.first() != Some(&b'/');
    if is_relative && base.is_empty() {
        return given;
    }
    let mut path: Vec<u8> = Vec::new();
    if is_relative && base.bytes != b"/" {
        path.extend_from_slice(&base.bytes);
    }
    let mut is_walked = is_relative;
    for step in given.bytes.split(|byte| *byte == b'/') {
        match step {
            b"" | b"." => {}
            b".." if is_walked => {
                let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                path.truncate(parent);
            }
            name => {
                is_walked = false;
                path.push(b'/');
                path.extend_from_slice(name);
            }
        }
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Captured { bytes: path, gap: given.gap.or(if is_relative { base.gap } else { None }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gap;

    fn text(base: &str, given: &str) -> String {
        String::from_utf8(absolute(&Captured::whole(base), Captured::whole(given)).bytes).unwrap()
    }

    #[test]
    fn a_relative_path_begins_at_its_base_and_an_absolute_one_at_the_root() {
        assert_eq!(text("/home/me", "a/b"), "/home/me/a/b");
        assert_eq!(text("/home/me", "/a/b"), "/a/b");
        assert_eq!(text("/", "a"), "/a");
        assert_eq!(text("/home/me", "./a//b/."), "/home/me/a/b");
        assert_eq!(text("/home/me", ""), "/home/me");
        assert_eq!(text("", "a"), "a");
    }

    #[test]
    fn a_step_up_is_walked_from_the_base_alone() {
        assert_eq!(text("/home/me", "../you/a"), "/home/you/a");
        assert_eq!(text("/home/me", "../../../a"), "/a");
        assert_eq!(text("/home/me", ".."), "/home");
        assert_eq!(text("/home/me", "../.."), "/");
        assert_eq!(text("/home/me", "link/../a"), "/home/me/link/../a");
        assert_eq!(text("/home/me", "/../a"), "/../a");
    }

    #[test]
    fn what_could_not_be_read_stays_said() {
        let unreadable = Captured { bytes: Vec::new(), gap: Some(Gap::Unreadable) };
        assert_eq!(absolute(&Captured::whole("/a"), unreadable.clone()).gap, Some(Gap::Unreadable));
        assert_eq!(absolute(&unreadable, Captured::whole("b")).gap, Some(Gap::Unreadable));
        assert_eq!(absolute(&unreadable, Captured::whole("/b")), Captured::whole("/b"));
        assert_eq!(absolute(&Captured::default(), Captured::default()), Captured::default());
    }
}
