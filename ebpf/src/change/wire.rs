//! `struct change_event` to [`Change`].

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::path::absolute;
use super::{Change, ChangeKind, Space};
use crate::wire::{DecodeError, Header, PartHead, Parts};
use crate::{FileId, KernelNanos};

pub(crate) const CHANGE_HAS_FILE: u16 = 1;
pub(crate) const CHANGE_PARTS: usize = 4;

/// In the order of `enum change_kind`, from 1.
pub(crate) const KINDS: [ChangeKind; 12] = [
    ChangeKind::Rename,
    ChangeKind::Unlink,
    ChangeKind::Rmdir,
    ChangeKind::Link,
    ChangeKind::Symlink,
    ChangeKind::Mkdir,
    ChangeKind::Mknod,
    ChangeKind::Truncate,
    ChangeKind::Fallocate,
    ChangeKind::Chmod,
    ChangeKind::Chown,
    ChangeKind::Setxattr,
];

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct WireChange {
    pub(crate) header: Header,
    pub(crate) inode: u64,
    pub(crate) device: u32,
    pub(crate) generation: u32,
    pub(crate) value: u64,
    pub(crate) offset: u64,
    pub(crate) change: u32,
    pub(crate) error: u32,
    pub(crate) mode: u32,
    pub(crate) reserved: u32,
    pub(crate) parts: [PartHead; CHANGE_PARTS],
}

pub(crate) fn decode_change(change: &WireChange, data: &[u8]) -> Result<Change, DecodeError> {
    let index = usize::try_from(change.change).ok().and_then(|number| number.checked_sub(1));
    let kind = *index.and_then(|index| KINDS.get(index)).ok_or(DecodeError::Number(change.change))?;
    let mut parts = Parts::split(&change.parts, data)?;
    let (base, path) = (parts.next_path(), parts.next_text());
    let (new_base, new_path) = (parts.next_path(), parts.next_text());
    // What a symbolic link says is not looked up when it is made.
    let new_path = if kind == ChangeKind::Symlink { new_path } else { absolute(&new_base, new_path) };
    Ok(Change {
        at: KernelNanos(change.header.at),
        by: change.header.doer(),
        kind,
        file: (change.header.flags & CHANGE_HAS_FILE != 0).then_some(FileId {
            device: change.device,
            inode: change.inode,
            generation: change.generation,
        }),
        path: absolute(&base, path),
        new_path,
        value: change.value,
        space: (kind == ChangeKind::Fallocate).then_some(Space { mode: change.mode, offset: change.offset }),
        error: change.error,
    })
}
