//! The bearer token: made at the first start, kept where only its owner can read it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;

/// What whoever asks must know.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The system refused.
    #[error("cannot {doing} the token's file {path:?}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Others can read it.
    #[error(
        "the token's file {0:?} must be yours and closed to others: do `chmod 600` on it, or remove it to have a new one made"
    )]
    NotPrivate(PathBuf),
    /// It is empty, or no token.
    #[error("the token's file {0:?} has no token of 16 or more visible characters: remove it to have a new one made")]
    NoToken(PathBuf),
}

impl Token {
    /// The token in this file, which is made (0600) where it is missing.
    ///
    /// # Errors
    /// A file of somebody else's, or one that others can read, and whatever the system refuses.
    pub fn of_file(path: &Path) -> Result<Self, TokenError> {
        let failed = |doing| move |source| TokenError::Io { doing, path: path.to_owned(), source };
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(O_NOFOLLOW).open(path);
        match made {
            Ok(mut file) => {
                let mut bytes = [0; 24];
                let random = fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
                random.map_err(failed("make"))?;
                let token = hex::encode(bytes);
                file.write_all(format!("{token}\n").as_bytes()).map_err(failed("write"))?;
                return Ok(Self(token));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("make")(error)),
        }
        let mut file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(path).map_err(failed("open"))?;
        let found = file.metadata().map_err(failed("look at"))?;
        if found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o077 != 0 {
            return Err(TokenError::NotPrivate(path.to_owned()));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed("read"))?;
        let token = text.trim();
        let is_token = token.len() >= 16 && token.bytes().all(|byte| byte.is_ascii_graphic());
        if is_token { Ok(Self(token.to_owned())) } else { Err(TokenError::NoToken(path.to_owned())) }
    }

    /// Whether an `Authorization` header has it. Takes as long for a nearly right one as for a wrong one.
    #[must_use]
    pub(super) fn is_in(&self, header: &[u8]) -> bool {
        let Some((scheme, given)) = header.split_at_checked("Bearer ".len()) else { return false };
        let is_same_length = given.len() == self.0.len();
        let difference = given.iter().zip(self.0.as_bytes()).fold(0, |sum, (one, other)| sum | (one ^ other));
        scheme.eq_ignore_ascii_case(b"Bearer ") && is_same_length && difference == 0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::scratch::Scratch;

    #[test]
    fn a_token_is_made_once_for_its_owner_alone() {
        let scratch = Scratch::new();
        let path = scratch.path().join("token");
        let token = Token::of_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Token::of_file(&path).unwrap(), token);
        assert!(token.0.len() == 48 && !format!("{token:?}").contains(&token.0));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Token::of_file(&path), Err(TokenError::NotPrivate(_))));
    }

    #[test]
    fn a_link_or_an_empty_file_is_no_token() {
        let scratch = Scratch::new();
        let path = scratch.path().join("token");
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(Token::of_file(&path).is_err());
        let empty = scratch.path().join("empty");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&empty).unwrap();
        assert!(matches!(Token::of_file(&empty), Err(TokenError::NoToken(_))));
    }

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token("0123456789abcdef".to_owned());
        assert!(token.is_in(b"Bearer 0123456789abcdef") && token.is_in(b"bearer 0123456789abcdef"));
        for wrong in
            [&b""[..], b"Bearer ", b"Bearer 0123456789abcde", b"Bearer 0123456789abcdeff", b"Basic 0123456789abcdef"]
        {
            assert!(!token.is_in(wrong));
        }
    }
}
