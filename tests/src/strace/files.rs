//! Which content a path stands for at a moment, by the calls that make, empty, rename and remove names.

use std::collections::{BTreeMap, BTreeSet};

/// Contents: a file from its making or emptying until it is emptied again.
pub(super) type ContentId = usize;

/// The names of files, and what was written into each content.
#[derive(Debug, Default)]
pub(super) struct Files {
    names: BTreeMap<String, ContentId>,
    /// What had this name last and has none now.
    nameless: BTreeMap<String, ContentId>,
    contents: Vec<Content>,
    /// Below this folder these files, and no others, were there before.
    folder: String,
    before: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Content {
    /// Nothing was in it when the tracing began.
    is_ours: bool,
    writes: Vec<Write>,
}

/// Bytes that were put into a content.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) process: u32,
    /// Number of the line that it began in.
    pub(super) begun: usize,
    /// Number of the line that it ended in.
    pub(super) ended: usize,
    /// Where, if the call says so.
    pub(super) range: Option<(u64, u64)>,
}

/// Who wrote what was read: surely, and perhaps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Writers {
    pub(super) certain: BTreeSet<u32>,
    pub(super) possible: BTreeSet<u32>,
}

impl Files {
    /// Where these files, by their paths, are all that `folder` holds.
    pub(super) fn new(folder: &str, before: BTreeSet<String>) -> Self {
        Self { folder: format!("{folder}/"), before, ..Self::default() }
    }

    /// The content that a path stands for.
    pub(super) fn content(&mut self, path: &str, deleted: bool) -> ContentId {
        if deleted && let Some(&content) = self.nameless.get(path) {
            return content;
        }
        if let Some(&content) = self.names.get(path) {
            return content;
        }
        let is_ours = path.starts_with(&self.folder) && !self.before.contains(path);
        self.put(path, is_ours)
    }

    /// A path stands for nothing but emptiness from here on.
    pub(super) fn emptied(&mut self, path: &str) {
        self.put(path, true);
    }

    pub(super) fn renamed(&mut self, from: &str, to: &str) {
        self.removed(to);
        let inside = format!("{from}/");
        let moved: Vec<String> =
            self.names.keys().filter(|name| *name == from || name.starts_with(&inside)).cloned().collect();
        if moved.is_empty() {
            let content = self.content(from, false);
            self.names.insert(from.to_owned(), content);
            return self.renamed_one(from, to);
        }
        for name in moved {
            let target = format!("{to}{}", &name[from.len()..]);
            self.renamed_one(&name, &target);
        }
    }

    pub(super) fn linked(&mut self, from: &str, to: &str) {
        let content = self.content(from, false);
        self.names.insert(to.to_owned(), content);
    }

    pub(super) fn removed(&mut self, path: &str) {
        if let Some(content) = self.names.remove(path) {
            self.nameless.insert(path.to_owned(), content);
        }
        self.before.remove(path);
    }

    pub(super) fn written(&mut self, content: ContentId, write: Write) {
        self.contents[content].writes.push(write);
    }

    /// Who wrote what a call that began and ended in these lines has read there.
    pub(super) fn writers(&self, content: ContentId, begun: usize, ended: usize, range: Option<(u64, u64)>) -> Writers {
        let Content { is_ours, writes } = &self.contents[content];
        let seen: Vec<&Write> = writes.iter().filter(|write| write.begun < ended).collect();
        let is_clear = seen.iter().all(|write| write.ended < begun);
        if let Some(range) = range.filter(|_| is_clear && seen.iter().all(|write| write.range.is_some())) {
            let writers = last_writers(&seen, range);
            return Writers { certain: writers.clone(), possible: writers };
        }
        let possible: BTreeSet<u32> = seen.iter().map(|write| write.process).collect();
        let certain = if *is_ours && is_clear && possible.len() == 1 { possible.clone() } else { BTreeSet::new() };
        Writers { certain, possible }
    }

    fn put(&mut self, path: &str, is_ours: bool) -> ContentId {
        self.contents.push(Content { is_ours, writes: Vec::new() });
        let content = self.contents.len() - 1;
        self.names.insert(path.to_owned(), content);
        content
    }

    fn renamed_one(&mut self, from: &str, to: &str) {
        if let Some(content) = self.names.remove(from) {
            self.names.insert(to.to_owned(), content);
        }
        self.before.remove(from);
    }
}

/// Whose bytes lie in a range: those of the last who wrote each.
fn last_writers(writes: &[&Write], range: (u64, u64)) -> BTreeSet<u32> {
    let mut left = vec![range];
    let mut writers = BTreeSet::new();
    for write in writes.iter().rev() {
        let Some((start, end)) = write.range else { continue };
        let mut rest = Vec::new();
        for (from, to) in left {
            if from.max(start) < to.min(end) {
                writers.insert(write.process);
                rest.extend([(from, start.max(from)), (end.min(to), to)].into_iter().filter(|(from, to)| from < to));
            } else {
                rest.push((from, to));
            }
        }
        left = rest;
    }
    writers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(process: u32, line: usize, range: Option<(u64, u64)>) -> Write {
        Write { process, begun: line, ended: line, range }
    }

    fn files() -> Files {
        Files::new("/d", BTreeSet::from(["/d/old".to_owned()]))
    }

    fn only(process: u32) -> BTreeSet<u32> {
        BTreeSet::from([process])
    }

    #[test]
    fn the_only_writer_of_a_file_that_is_ours_is_certain() {
        let mut files = files();
        let (new, old) = (files.content("/d/new", false), files.content("/d/old", false));
        files.written(new, write(7, 1, None));
        files.written(old, write(7, 2, None));
        assert_eq!(files.writers(new, 3, 3, None), Writers { certain: only(7), possible: only(7) });
        assert_eq!(files.writers(old, 3, 3, None), Writers { certain: BTreeSet::new(), possible: only(7) });
        assert_eq!(files.writers(new, 0, 0, None), Writers::default(), "read before it was written");
    }

    #[test]
    fn ranges_tell_who_wrote_last() {
        let mut files = files();
        let new = files.content("/d/new", false);
        files.written(new, write(1, 1, Some((0, 100))));
        files.written(new, write(2, 2, Some((50, 60))));
        let of = |range| files.writers(new, 3, 3, Some(range)).certain;
        assert_eq!([of((0, 50)), of((50, 60)), of((100, 200))], [only(1), only(2), BTreeSet::new()]);
        assert_eq!(of((40, 70)), BTreeSet::from([1, 2]));
    }

    #[test]
    fn a_rename_takes_the_content_along_and_a_removal_keeps_it_for_who_has_it_open() {
        let mut files = files();
        let content = files.content("/d/tmp", false);
        files.renamed("/d/tmp", "/d/final");
        assert_eq!(files.content("/d/final", false), content);
        assert_ne!(files.content("/d/tmp", false), content);
        files.removed("/d/final");
        assert_eq!(files.content("/d/final", true), content);
        assert_ne!(files.content("/d/final", false), content);
    }

    #[test]
    fn a_folder_takes_its_files_along() {
        let mut files = files();
        let content = files.content("/d/a/x", false);
        files.renamed("/d/a", "/d/b");
        assert_eq!(files.content("/d/b/x", false), content);
    }

    #[test]
    fn an_emptied_file_is_another_content() {
        let mut files = files();
        let first = files.content("/d/old", false);
        files.emptied("/d/old");
        assert_ne!(files.content("/d/old", false), first);
    }
}
