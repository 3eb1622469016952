//! Rule: what every program reads of the system, and no traced process wrote, is a number on its image and no span. What
//! was captured has one all the same.

use std::collections::BTreeMap;

use agentsight_ebpf::{BurstEnd, FileId, Object};

use super::transfer::Folded;
use super::{Graph, object};

/// Folders of the system, each with all below it.
const FOLDERS: [&str; 11] =
    ["/usr/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/bin/", "/sbin/", "/proc/", "/sys/", "/dev/", "/nix/store/"];
/// Beginnings of paths: the loader's and the locale's files, and what the C library looks up.
const BEGINNINGS: [&str; 9] = [
    "/etc/ld.so",
    "/etc/locale",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/terminfo/",
];
/// Parts of paths of libraries, wherever they are: also those of interpreters that were installed in a home.
const ANYWHERE: [&str; 8] = [
    "/site-packages/",
    "/dist-packages/",
    "/lib/python3.",
    "/node_modules/",
    "/.git/objects/",
    "/__pycache__/",
    "/share/locale/",
    ".so.",
];
/// Files of one image that are told apart when they are counted.
const FILES_MAX: usize = 1024;

/// Reads of an image that have no spans.
#[derive(Debug, Default)]
pub(super) struct Folding {
    pub(super) counts: Folded,
    /// With how many bursts each.
    files: BTreeMap<FileId, u64>,
}

impl Folding {
    pub(super) fn begin(&mut self, file: FileId) {
        self.counts.bursts = self.counts.bursts.saturating_add(1);
        if self.files.len() >= FILES_MAX {
            self.counts.files = self.counts.files.saturating_add(1);
            return;
        }
        let bursts = self.files.entry(file).or_default();
        if *bursts == 0 {
            self.counts.files = self.counts.files.saturating_add(1);
        }
        *bursts += 1;
    }

    /// A burst that had begun is not folded after all.
    pub(super) fn take_back(&mut self, file: FileId) {
        self.counts.bursts = self.counts.bursts.saturating_sub(1);
        let left = self.files.get_mut(&file).map(|bursts| {
            *bursts = bursts.saturating_sub(1);
            *bursts
        });
        if left.is_none_or(|left| left == 0) {
            self.files.remove(&file);
            self.counts.files = self.counts.files.saturating_sub(1);
        }
    }

    pub(super) fn end(&mut self, end: &BurstEnd) {
        self.counts.bytes = self.counts.bytes.saturating_add(end.bytes);
    }
}

/// Whether a path is the system's or a library's.
fn is_of_the_system(path: &[u8]) -> bool {
    let begins = |with: &&str| path.starts_with(with.as_bytes());
    let has = |part: &&str| path.windows(part.len()).any(|window| window == part.as_bytes());
    let is_library = path.ends_with(b".so");
    is_library || FOLDERS.iter().any(&begins) || BEGINNINGS.iter().any(begins) || ANYWHERE.iter().any(has)
}

impl Graph {
    /// The file, where a read of it is folded.
    pub(super) fn folded_file(&self, object: &Object) -> Option<FileId> {
        let Object::File(file) = object else { return None };
        let written = self.files.get(file.id).is_some_and(|it| it.written);
        let path = object::path(object).map_or(&[][..], |path| &path.bytes);
        (!written && is_of_the_system(path)).then_some(file.id)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::is_of_the_system;
    use crate::graph::fixture::check;

    #[test]
    fn reads_of_the_system_are_counted_on_the_image_and_announce_nobody() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 fork 100 101
                3 open 101 #1 file /usr/share/locale/x
                4 in 101 #1.1 0..10
                5 exec 101 /bin/ls ls
                6 open 101 #2 file /usr/lib/libc.so
                7 in 101 #2.1 0..
                8 in 101 #1.2 10..20
                9 open 101 #3 created file /usr/lib/mine
                10 out 101 #3.1 0..7
                11 open 101 #4 file /usr/lib/mine
                12 in 101 #4.1 0..7
                13 end #2.1 100
                14 exit 101 0
                15 tick
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#1 Exec sh/ls under 100#1
                ended    101#1 2..14 exit 0 folded 2 files 3 bursts 120 bytes
                write    #3.1 101#1 mine 0..7 at 10..10 under 101#1
                read     #4.1 101#1 mine 0..7 at 12..12 under 101#1 <-File #3.1 7
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn libraries_are_of_the_system_and_projects_are_not() {
        let system = [
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/etc/ld.so.cache",
            "/proc/self/maps",
            "/home/me/venv/lib/python3.11/site-packages/requests/api.py",
            "/home/me/app/node_modules/left-pad/index.js",
            "/home/me/app/.git/objects/aa/bb",
            "/home/me/.pyenv/versions/3.11.7/lib/python3.11/lib-dynload/select.cpython-311-x86_64-linux-gnu.so",
            "/opt/app/libfast.so.2",
        ];
        let own = ["/home/me/usr/lib/x", "/home/me/app/index.js", "/etc/hosts", "/lib64x", "", "/home/me/.git/HEAD"];
        assert!(system.iter().all(|path| is_of_the_system(path.as_bytes())));
        assert!(own.iter().all(|path| !is_of_the_system(path.as_bytes())));
    }
}
