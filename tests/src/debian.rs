//! A clean Debian in a directory: packages are installed in it, and it runs by `chroot`, or as a machine of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::backend::cached;
use crate::directory::Directory;
use crate::requirement::need_program;
use crate::run::{Finished, run};

const LIMIT: Duration = Duration::from_secs(120);

/// A clean root, with the machine's `/proc` and `/sys` in it while something runs there.
#[derive(Debug)]
pub struct Debian {
    /// Its root.
    pub root: PathBuf,
    _directory: Directory,
}

impl Debian {
    /// Unpacked anew; made by debootstrap once per machine.
    ///
    /// # Panics
    /// When debootstrap is missing, or it cannot be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it takes seconds and a hundred megabytes")]
    pub fn new() -> Self {
        let _ = need_program("debootstrap", "debootstrap");
        let directory = Directory::new();
        let root = directory.join("root");
        fs::create_dir(&root).expect("the directory is ours");
        let mut unpack = Command::new("tar");
        unpack.arg("--extract").arg("--file").arg(cached("debian")).arg("--directory").arg(&root);
        let _ = run(&mut unpack, LIMIT).expect_code(0);
        Self { root, _directory: directory }
    }

    /// `arguments`, to be run in it.
    ///
    /// # Panics
    /// When `unshare` is missing.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(need_program("unshare", "util-linux"));
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg("mount --rbind /proc \"$0/proc\" && mount --rbind /sys \"$0/sys\" && exec chroot \"$0\" \"$@\"");
        command.arg(&self.root).args(arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// The same, run to its end.
    ///
    /// # Panics
    /// When it takes longer than two minutes.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        run(&mut self.command(arguments), LIMIT)
    }

    /// All files but those of the running system and of the package manager itself.
    ///
    /// # Panics
    /// When they cannot be listed.
    #[must_use]
    pub fn files(&self) -> BTreeSet<String> {
        let not_ours = ["proc", "sys", "dev", "run", "tmp", "var/lib/dpkg", "var/lib/rpm", "var/log", "var/cache"];
        let mut find = Command::new("find");
        find.current_dir(&self.root).arg("-P").arg(".").arg("-printf").arg("%P\\n");
        let listed = run(&mut find, LIMIT).expect_code(0).stdout;
        let all = listed.lines().filter(|path| !not_ours.iter().any(|start| Path::new(path).starts_with(start)));
        all.map(str::to_owned).collect()
    }
}

/// The one file of this kind (`deb`, `rpm`, `gz`) that `make package` left.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn package(kind: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/package");
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}; run `make test-package`", folder.display()));
    let mut of_kind: Vec<PathBuf> = files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|end| end == kind))
        .collect();
    assert_eq!(of_kind.len(), 1, "{} should have one .{kind}; run `make test-package`", folder.display());
    of_kind.remove(0)
}
