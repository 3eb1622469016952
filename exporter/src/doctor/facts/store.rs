//! The store's folder, and the collectors that run now.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::ownership::{self, RUN_DIR};
use crate::store;

/// Where spans are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Store {
    pub(in crate::doctor) dir: PathBuf,
    pub(in crate::doctor) place: Place,
    /// What a user without privileges could still write there; `None`: not seen.
    pub(in crate::doctor) free_bytes: Option<u64>,
    /// Collectors that answer on their socket.
    pub(in crate::doctor) collectors: usize,
    /// Sockets that nobody answers on.
    pub(in crate::doctor) stale_sockets: usize,
}

/// What is at the store's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Place {
    /// Nothing yet.
    Missing,
    /// A store that opens.
    Opens,
    /// Something that cannot be the store; why, and how to mend it.
    Refused(String),
    /// A folder of root's, into which only root can look.
    Closed,
    /// A folder of another user's: their number.
    Foreign(u32),
}

pub(super) fn look(is_root: bool) -> Store {
    let dir = store::chosen_dir();
    let sockets: Vec<bool> =
        ownership::sockets(Path::new(RUN_DIR)).map(|path| UnixStream::connect(path).is_ok()).collect();
    let collectors = sockets.iter().filter(|answers| **answers).count();
    Store {
        place: place(&dir, is_root),
        free_bytes: free_bytes(&dir),
        collectors,
        stale_sockets: sockets.len() - collectors,
        dir,
    }
}

fn place(dir: &Path, is_root: bool) -> Place {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Place::Missing,
        Err(error) => Place::Refused(format!("cannot look at {}: {error}", dir.display())),
        Ok(_) if is_root => match store::Store::open(dir) {
            Ok(_) => Place::Opens,
            Err(error) => Place::Refused(error.to_string()),
        },
        Ok(found) if found.uid() == 0 => Place::Closed,
        Ok(found) => Place::Foreign(found.uid()),
    }
}

/// On the file system of the folder, or of the first above it that exists.
fn free_bytes(dir: &Path) -> Option<u64> {
    let found = dir.ancestors().find_map(|folder| statvfs(folder).ok())?;
    Some(found.blocks_available().saturating_mul(found.fragment_size()))
}
