//! Names and metadata of files were changed: the typed event of `change.bpf.c`.

mod path;
pub(crate) mod wire;

use serde::{Deserialize, Serialize};

use crate::{Captured, Doer, FileId, KernelNanos};

/// A call that changed a name or the metadata of a file, or tried to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// End of the call.
    pub at: KernelNanos,
    /// Who.
    pub by: Doer,
    /// What was done.
    pub kind: ChangeKind,
    /// The file, where the call named it by an open descriptor.
    pub file: Option<FileId>,
    /// The path as the caller gave it, made absolute where that can be done. Read from the caller's memory at the end
    /// of the call: a thread of the caller may have changed it meanwhile.
    pub path: Captured,
    /// The new path (rename, link), or the target (symlink).
    pub new_path: Captured,
    /// Mode (chmod, mkdir, mknod), length in bytes (truncate, fallocate), or user id << 32 | group id (chown); else 0.
    pub value: u64,
    /// What fallocate was asked for; older recordings do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
    /// 0, or the error number.
    pub error: u32,
}

/// Where fallocate begins, and what it does there; it ends at [`Change::value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// `FALLOC_FL_*` of `linux/falloc.h`.
    pub mode: u32,
    /// First byte.
    pub offset: u64,
}

impl Space {
    /// `FALLOC_FL_PUNCH_HOLE`, `ZERO_RANGE` and `WRITE_ZEROES`: what was there is zeros now.
    const ZEROING: u32 = 0x02 | 0x10 | 0x80;
    /// `FALLOC_FL_COLLAPSE_RANGE` and `INSERT_RANGE`: what stood behind it stands elsewhere now.
    const SHIFTING: u32 = 0x08 | 0x20;

    /// Its bytes are zeros now.
    #[must_use]
    pub fn zeroes(self) -> bool {
        self.mode & Self::ZEROING != 0
    }

    /// All bytes behind its beginning have moved.
    #[must_use]
    pub fn shifts(self) -> bool {
        self.mode & Self::SHIFTING != 0
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// rename, renameat, renameat2.
    Rename,
    /// unlink, unlinkat.
    Unlink,
    /// rmdir, unlinkat with AT_REMOVEDIR.
    Rmdir,
    /// link, linkat.
    Link,
    /// symlink, symlinkat.
    Symlink,
    /// mkdir, mkdirat.
    Mkdir,
    /// mknod, mknodat: FIFOs too.
    Mknod,
    /// truncate, ftruncate.
    Truncate,
    /// fallocate.
    Fallocate,
    /// chmod, fchmod, fchmodat, fchmodat2.
    Chmod,
    /// chown, fchown, lchown, fchownat.
    Chown,
    /// setxattr, lsetxattr, fsetxattr, setxattrat.
    Setxattr,
}
