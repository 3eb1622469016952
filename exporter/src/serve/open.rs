//! Which store answers. The machine's own is opened for each answer: that it is pruned, moved or made anew under a server
//! is no trouble. A copy stays open: it may have been brought to the present shape in memory.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::store::{PlaceError, Store, StoreError};

/// A store to be opened.
#[derive(Debug)]
pub enum OpenStore {
    /// The one in this folder, which is ours.
    Own(PathBuf),
    /// A copy of a database, with the connections that nobody uses at this moment.
    Copy(PathBuf, Mutex<Vec<Store>>),
}

impl OpenStore {
    /// A copy of a database.
    #[must_use]
    pub fn copy(path: PathBuf) -> Self {
        Self::Copy(path, Mutex::default())
    }

    /// Opens it.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::open_copy`]; a store that is not there yet is not made.
    pub fn open(&self) -> Result<Store, StoreError> {
        match self {
            Self::Copy(path, idle) => {
                let idle = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                idle.map_or_else(|| Store::open_copy(path), Ok)
            }
            Self::Own(dir) => Store::open_existing(dir)?.ok_or_else(|| {
                let source = std::io::Error::from(std::io::ErrorKind::NotFound);
                PlaceError::Io { doing: "find a store in", path: dir.clone(), source }.into()
            }),
        }
    }

    /// Whether it is a copy, of which nobody can write down who reads it.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        matches!(self, Self::Copy(..))
    }

    /// Takes back what [`open`](Self::open) gave.
    pub fn put_back(&self, store: Store) {
        if let Self::Copy(_, idle) = self {
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(store);
        }
    }
}
