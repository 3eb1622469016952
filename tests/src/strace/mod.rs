//! An independent witness: the process tree, and what flows between processes, as `strace -f` sees them.

mod call;
mod descriptor;
mod files;
mod flows;
mod folders;
mod kernel_view;
mod line;
mod streams;
mod tree;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::directory::Directory;
use crate::process_tree::Image;
use crate::requirement::need_program;
use crate::run::{Finished, run};

/// The calls that make, replace and end processes; their end itself strace says without being asked.
const CALLS: &str = "trace=fork,vfork,clone,clone3,execve,execveat";

pub use flows::flows;

/// The calls that say what flows where: those that move bytes, name files, and make processes.
pub const FLOW_CALLS: &str = "trace=fork,vfork,clone,clone3,execve,execveat,exit_group,chdir,fchdir,\
    read,pread64,readv,preadv,preadv2,recvfrom,recvmsg,recvmmsg,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,\
    copy_file_range,sendfile,splice,tee,ioctl,mmap,open,openat,openat2,creat,truncate,ftruncate,\
    rename,renameat,renameat2,link,linkat,unlink,unlinkat";

/// Runs `program` in `directory` under strace, with `prepare`'s environment, and says what tree it made.
///
/// # Panics
/// When strace is missing, cannot trace, or writes what is not understood.
#[track_caller]
pub fn observe(program: &[&str], directory: &Path, prepare: impl Fn(&mut Command)) -> (Image, Finished) {
    let strace = need_program("strace", "strace");
    let scratch = Directory::new();
    let log = scratch.join("strace.txt");
    let mut command = Command::new(strace);
    // -v: whole argument lists; it writes the environment too, so `prepare` had better keep that small.
    command.args(["-f", "-q", "-v", "-s", "65536", "-e", CALLS, "-o"]).arg(&log).arg("--").args(program);
    command.current_dir(directory);
    prepare(&mut command);
    let finished = run(&mut command, Duration::from_secs(300));
    let text = fs::read_to_string(&log)
        .unwrap_or_else(|error| panic!("strace wrote no log ({error}); may it trace here?\n{}", finished.stderr));
    (tree::tree(&text, directory).sorted(), finished)
}
