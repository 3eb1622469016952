//! Which store answers. Each answer opens it for itself: a store that is pruned, moved or made anew under a server is no trouble.

use std::path::PathBuf;

use crate::store::{PlaceError, Store, StoreError};

/// A store to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenStore {
    /// The one in this folder, which is ours.
    Own(PathBuf),
    /// A copy of a database.
    Copy(PathBuf),
}

impl OpenStore {
    /// Opens it.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::open_copy`]; a store that is not there yet is not made.
    pub fn open(&self) -> Result<Store, StoreError> {
        match self {
            Self::Copy(path) => Store::open_copy(path),
            Self::Own(dir) => Store::open_existing(dir)?.ok_or_else(|| {
                let source = std::io::Error::from(std::io::ErrorKind::NotFound);
                PlaceError::Io { doing: "find a store in", path: dir.clone(), source }.into()
            }),
        }
    }
}
