//! Who is at work: one collector per session, one sender per destination, across processes.
//!
//! A lock is one byte, numbered like its row, of a lock file, held by an open-file-description
//! lock. The kernel releases it when its holder dies, however it dies. A lease row with a process id
//! would need a clock or a look at `/proc` to tell a dead holder from a slow one, and one lock file
//! per row would need somebody to remove it.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_UNLCK, F_WRLCK, SEEK_SET, flock};

use super::place::{self, PlaceError};

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes byte `number` of the lock file, or `None` where somebody holds it, this process included.
pub(super) fn try_lock(path: &Path, number: i64) -> Result<Option<Lock>, PlaceError> {
    let file = place::open_file(path)?;
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&byte(number))) {
        Ok(_) => Ok(Some(Lock { _file: file })),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
        Err(errno) => Err(refused(path, errno)),
    }
}

/// Takes byte `number` of the lock file as soon as nobody else holds it.
pub(super) fn wait_lock(path: &Path, number: i64) -> Result<Lock, PlaceError> {
    let file = place::open_file(path)?;
    loop {
        match fcntl(&file, FcntlArg::F_OFD_SETLKW(&byte(number))) {
            Ok(_) => return Ok(Lock { _file: file }),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(refused(path, errno)),
        }
    }
}

/// Whether somebody holds byte `number` of the lock file, without taking it.
pub(super) fn is_held(path: &Path, number: i64) -> Result<bool, PlaceError> {
    let file = place::open_file(path)?;
    let mut asked = byte(number);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut asked)).map_err(|errno| refused(path, errno))?;
    Ok(i32::from(asked.l_type) != F_UNLCK)
}

fn byte(number: i64) -> flock {
    // The libc crate types these constants as `c_int`, the structure's fields as `c_short`; both values are tiny.
    #[expect(clippy::cast_possible_truncation)]
    let (l_type, l_whence) = (F_WRLCK as i16, SEEK_SET as i16);
    flock { l_type, l_whence, l_start: number, l_len: 1, l_pid: 0 }
}

fn refused(path: &Path, errno: Errno) -> PlaceError {
    PlaceError::Io { doing: "lock", path: path.to_owned(), source: io::Error::from(errno) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;

    #[test]
    fn a_byte_has_one_holder_at_a_time_and_bytes_do_not_hinder_each_other() {
        let scratch = Scratch::new();
        let path = scratch.path().join("lock");
        let first = try_lock(&path, 1).unwrap().unwrap();
        assert!(try_lock(&path, 1).unwrap().is_none());
        assert!(try_lock(&path, 2).unwrap().is_some());
        assert!(is_held(&path, 1).unwrap() && !is_held(&path, 3).unwrap());
        drop(first);
        assert!(!is_held(&path, 1).unwrap(), "asking takes nothing");
        assert!(try_lock(&path, 1).unwrap().is_some());
    }
}
