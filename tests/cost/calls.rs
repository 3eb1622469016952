//! Single system calls, one kind after the other.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::work::{Numbers, nanoseconds_each};

/// What each takes, in nanoseconds.
pub(crate) fn measure(folder: &Path) -> Numbers {
    let path = folder.join("calls");
    fs::write(&path, [0; 4_096]).expect("the folder is ours");
    let file = File::options().read(true).write(true).open(&path).expect("it was just written");
    let mut bytes = [0; 4_096];
    let mut numbers = Numbers::new();
    let mut add = |name: &str, nanoseconds| numbers.insert(format!("{name} ns"), nanoseconds);
    add(
        "getppid",
        nanoseconds_each(|| {
            std::hint::black_box(nix::unistd::getppid());
        }),
    );
    add("futex", nanoseconds_each(wake_nobody));
    add("read 1 B", nanoseconds_each(|| drop(file.read_at(&mut bytes[..1], 0))));
    add("read 4 KiB", nanoseconds_each(|| drop(file.read_at(&mut bytes, 0))));
    add("write 4 KiB", nanoseconds_each(|| drop(file.write_at(&[1; 4_096], 0))));
    add("open+close", nanoseconds_each(|| drop(File::open(&path))));
    numbers
}

fn wake_nobody() {
    let word = 0_u32;
    // SAFETY: FUTEX_WAKE looks for waiters at the address of a word that lives.
    unsafe {
        nix::libc::syscall(
            nix::libc::SYS_futex,
            &raw const word,
            nix::libc::FUTEX_WAKE | nix::libc::FUTEX_PRIVATE_FLAG,
            1,
        )
    };
}
