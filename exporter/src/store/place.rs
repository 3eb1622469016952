//! The store's folder and files: made for us alone, or refused.
//!
//! Whoever can write there can rewrite the trace, and a symlink there could make root write
//! elsewhere. So every folder on the way must belong to root or to us, and the last one to us alone.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW};

/// Why a folder cannot be the store's.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The path is relative.
    #[error("the store's folder {0:?} must be an absolute path")]
    Relative(PathBuf),
    /// Someone else owns it.
    #[error(
        "{path:?} belongs to user {owner}: the store's folder and all above it must belong to root or to user {wanted}"
    )]
    Owner {
        /// The folder, or a link on the way to it.
        path: PathBuf,
        /// Its user id.
        owner: u32,
        /// Ours.
        wanted: u32,
    },
    /// Others can write to it.
    #[error(
        "{path:?} can be written by others (mode {mode:04o}): do `chmod go-w` on it, or choose another folder with AGENTSIGHT_STORE"
    )]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Something other than a folder or a plain file is there.
    #[error("{0:?} is a link or no plain file or folder: move it away")]
    NotPlain(PathBuf),
    /// The system refused.
    #[error("cannot {doing} {path:?}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Makes `dir` (0700) where it is missing and returns its path without any links.
pub(super) fn prepare_dir(dir: &Path) -> Result<PathBuf, PlaceError> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(PlaceError::NotPlain(dir.to_owned()));
    };
    if !dir.is_absolute() {
        return Err(PlaceError::Relative(dir.to_owned()));
    }
    refuse_planted_links(parent)?;
    DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(io_error("make", parent))?;
    let parent = parent.canonicalize().map_err(io_error("resolve", parent))?;
    for above in parent.ancestors() {
        let found = fs::symlink_metadata(above).map_err(io_error("look at", above))?;
        check_owner(above, found.uid())?;
        let is_sticky = found.mode() & 0o1000 != 0;
        if found.mode() & 0o022 != 0 && !is_sticky {
            return Err(PlaceError::Writable { path: above.to_owned(), mode: found.mode() & 0o7777 });
        }
    }
    let dir = parent.join(name);
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io_error("make", &dir)(error)),
        _ => {}
    }
    // Through the open folder, not its path: what is checked is what is changed.
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        .open(&dir)
        .map_err(|_| PlaceError::NotPlain(dir.clone()))?;
    let found = open.metadata().map_err(io_error("look at", &dir))?;
    let uid = nix::unistd::geteuid().as_raw();
    if found.uid() != uid {
        return Err(PlaceError::Owner { path: dir, owner: found.uid(), wanted: uid });
    }
    if found.mode() & 0o022 != 0 {
        return Err(PlaceError::Writable { path: dir, mode: found.mode() & 0o7777 });
    }
    open.set_permissions(Permissions::from_mode(0o700)).map_err(io_error("close to others", &dir))?;
    Ok(dir)
}

/// Makes a plain file (0600) in a folder that [`prepare_dir`] returned, or checks the one that is there.
///
/// It is never opened once it exists: closing any descriptor of a database file would release the
/// POSIX locks that SQLite holds on it elsewhere in this process.
pub(super) fn make_file(path: &Path) -> Result<(), PlaceError> {
    match open_options().create_new(true).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error("make", path)(error)),
    }
    let found = fs::symlink_metadata(path).map_err(io_error("look at", path))?;
    check_plain(path, &found)?;
    // By path: nobody else can put anything else into a folder of mode 0700.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io_error("close to others", path))
}

/// Opens or makes a plain file (0600) in a folder that [`prepare_dir`] returned. Not for database files.
pub(super) fn open_file(path: &Path) -> Result<File, PlaceError> {
    let file = open_options().create(true).truncate(false).open(path).map_err(io_error("open", path))?;
    check_plain(path, &file.metadata().map_err(io_error("look at", path))?)?;
    Ok(file)
}

/// How SQLite is told to open a copy. Where no log lies beside it nothing more will be written to it: then SQLite needs
/// no file of its own there, which a reader without rights could not make.
pub(super) fn copy_uri(path: &Path) -> OsString {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let has_log = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.extend(format!("%{byte:02x}").bytes()),
            byte => uri.push(*byte),
        }
    }
    uri.extend(if has_log { &b"?mode=ro"[..] } else { b"?immutable=1" });
    OsString::from_vec(uri)
}

fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(O_NOFOLLOW | O_CLOEXEC);
    options
}

fn check_plain(path: &Path, found: &Metadata) -> Result<(), PlaceError> {
    check_owner(path, found.uid())?;
    if found.is_file() && found.nlink() == 1 { Ok(()) } else { Err(PlaceError::NotPlain(path.to_owned())) }
}

fn refuse_planted_links(path: &Path) -> Result<(), PlaceError> {
    for above in path.ancestors() {
        match fs::symlink_metadata(above) {
            Ok(found) if found.is_symlink() => check_owner(above, found.uid())?,
            _ => {}
        }
    }
    Ok(())
}

fn check_owner(path: &Path, owner: u32) -> Result<(), PlaceError> {
    let wanted = nix::unistd::geteuid().as_raw();
    if owner == 0 || owner == wanted { Ok(()) } else { Err(PlaceError::Owner { path: path.to_owned(), owner, wanted }) }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;
    use crate::store::scratch::Scratch;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_folder_and_file_are_closed_to_others() {
        let scratch = Scratch::new();
        let dir = prepare_dir(&scratch.path().join("a/b/store")).unwrap();
        make_file(&dir.join("file")).unwrap();
        assert_eq!((mode_of(&dir), mode_of(&dir.join("file"))), (0o700, 0o600));
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let scratch = Scratch::new();
        let dir = scratch.path().join("store");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(prepare_dir(&dir), Err(PlaceError::Writable { mode: 0o777, .. })));
        assert!(matches!(prepare_dir(&dir.join("below")), Err(PlaceError::Writable { .. })));
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused() {
        let scratch = Scratch::new();
        // Root can make one; anybody else finds one.
        let dir = if nix::unistd::geteuid().is_root() {
            let dir = scratch.path().join("store");
            fs::create_dir(&dir).unwrap();
            chown(&dir, Some(65534), None).unwrap();
            dir
        } else {
            PathBuf::from("/usr")
        };
        assert!(matches!(prepare_dir(&dir), Err(PlaceError::Owner { .. })));
    }

    #[test]
    fn a_link_in_place_of_the_folder_or_a_file_is_refused() {
        let scratch = Scratch::new();
        let victim = scratch.path().join("victim");
        fs::create_dir(&victim).unwrap();
        let link = scratch.path().join("store");
        symlink(&victim, &link).unwrap();
        assert!(matches!(prepare_dir(&link), Err(PlaceError::NotPlain(_))));

        symlink(scratch.path().join("elsewhere"), victim.join("file")).unwrap();
        assert!(matches!(make_file(&victim.join("file")), Err(PlaceError::NotPlain(_))));
        assert!(open_file(&victim.join("file")).is_err());
        assert!(!scratch.path().join("elsewhere").exists());
    }

    #[test]
    fn a_second_name_of_somebodys_file_is_refused() {
        let scratch = Scratch::new();
        fs::write(scratch.path().join("precious"), "").unwrap();
        fs::hard_link(scratch.path().join("precious"), scratch.path().join("file")).unwrap();
        assert!(matches!(make_file(&scratch.path().join("file")), Err(PlaceError::NotPlain(_))));
    }

    #[test]
    fn a_relative_folder_is_refused() {
        assert!(matches!(prepare_dir(Path::new("some/where")), Err(PlaceError::Relative(_))));
    }
}
