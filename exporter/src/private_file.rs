//! Files that are their owner's alone: traces and recordings hold what programs did, and the key of span ids.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Creates or empties a file with mode 0600, also where it was there before with another mode.
///
/// # Errors
/// It cannot be opened, or a file of somebody else's stands there.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // A terminal or a pipe keeps its own.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_open_to_all_is_its_owners_alone_afterwards() {
        let path = std::env::temp_dir().join(format!("agentsight-private-{}", std::process::id()));
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let metadata = create(&path).unwrap().metadata().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o777, metadata.len()), (0o600, 0));
    }
}
