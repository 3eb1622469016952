//! Control groups of a test's own, in the unified hierarchy below the test's own group; removed with it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::agentsight::path_text;
use crate::requirement::need_root;

/// A control group for one test, with groups of any path below it.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    below: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes one of this name.
    ///
    /// # Panics
    /// When not run by root, or there is no unified hierarchy that may be written to.
    #[must_use]
    pub fn new(name: &str) -> Self {
        need_root();
        let mounts = fs::read_to_string("/proc/self/mounts").expect("Linux has it");
        let mount = mounts.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [_, place, "cgroup2", ..] => Some(PathBuf::from(place)),
            _ => None,
        });
        let mount = mount.expect("the unified hierarchy of control groups is mounted: mount -t cgroup2 none /mnt");
        let own = fs::read_to_string("/proc/self/cgroup").expect("Linux has it");
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).expect("every process is in that hierarchy");
        let folder = mount.join(own).join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
        Self { folder, below: Vec::new() }
    }

    /// Makes a group of this path below it.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn make(&mut self, path: &str) -> PathBuf {
        let mut folder = self.folder.clone();
        for part in path.split('/') {
            folder.push(part);
            if !folder.exists() {
                fs::create_dir(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
                self.below.push(folder.clone());
            }
        }
        folder
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A group can go when its last process has been reaped, by whoever it was left to.
        let deadline = Instant::now() + Duration::from_secs(10);
        for folder in self.below.iter().rev().chain([&self.folder]) {
            while let Err(error) = fs::remove_dir(folder) {
                if Instant::now() > deadline {
                    eprintln!("cannot remove {}: {error}", folder.display());
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A command that joins a control group and then becomes this program.
#[must_use]
pub fn within<A: AsRef<OsStr>>(group: &Path, program: &Path, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "echo 0 > \"$0\"/cgroup.procs && exec \"$@\"", path_text(group)]).arg(program).args(arguments);
    command
}
