//! Working directories, which paths in a log are relative to.

use std::collections::BTreeMap;

/// Where each process is.
#[derive(Debug)]
pub(super) struct Folders {
    first: String,
    parents: BTreeMap<u32, u32>,
    /// Of those that changed theirs.
    changed: BTreeMap<u32, String>,
}

impl Folders {
    /// All are in this one.
    pub(super) fn new(first: String) -> Self {
        Self { first, parents: BTreeMap::new(), changed: BTreeMap::new() }
    }

    pub(super) fn forked(&mut self, parent: u32, child: u32) {
        self.parents.insert(child, parent);
    }

    pub(super) fn changed(&mut self, process: u32, folder: String) {
        self.changed.insert(process, folder);
    }

    /// A process' own, or the nearest forker's that changed its.
    pub(super) fn of(&self, process: u32) -> String {
        let mut at = process;
        loop {
            match (self.changed.get(&at), self.parents.get(&at)) {
                (Some(folder), _) => return folder.clone(),
                (None, Some(&parent)) if parent != at => at = parent,
                _ => return self.first.clone(),
            }
        }
    }
}

/// An absolute path without `.` and `..`, which are taken away as if there were no symbolic links.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_where_its_forker_is_until_it_goes_elsewhere() {
        let mut folders = Folders::new("/d".into());
        folders.forked(1, 2);
        folders.forked(2, 3);
        folders.changed(2, "/e".into());
        assert_eq!([folders.of(1), folders.of(2), folders.of(3)], ["/d", "/e", "/e"]);
    }

    #[test]
    fn paths_are_joined_and_made_short() {
        assert_eq!(joined("/d/e", "../f/./g"), "/d/f/g");
        assert_eq!(joined("/d", "/x//y/"), "/x/y");
    }
}
