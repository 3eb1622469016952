//! What is wrong with a setting: which one, what it says, what is expected. Header values are never repeated.

use std::io;
use std::path::PathBuf;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value that cannot be meant.
    #[error("{name}={value:?}: expected {expected}")]
    Value {
        /// The variable or flag.
        name: String,
        /// What it says.
        value: String,
        /// What it could say.
        expected: &'static str,
    },
    /// An endpoint that holds a user's name or password.
    #[error(
        "{name} holds a user name or password: expected a URL without; put credentials into OTEL_EXPORTER_OTLP_HEADERS"
    )]
    Credentials {
        /// The variable or flag.
        name: String,
    },
    /// A list of headers that is none.
    #[error("{name}: entry {number} {problem}; expected NAME=VALUE,NAME=VALUE with special characters as %XX")]
    Header {
        /// The variable or flag.
        name: String,
        /// From 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file that cannot be read.
    #[error("{name}={path:?}: cannot read it: {source}")]
    File {
        /// The variable.
        name: String,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file without what it should hold.
    #[error("{name}={path:?}: expected {expected} in PEM form")]
    Pem {
        /// The variable.
        name: String,
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// A client certificate without its key, or the other way round.
    #[error("{given} is set but {missing} is not: a client certificate and its key are needed together")]
    HalfAnIdentity {
        /// The one that is there.
        given: String,
        /// The one that is not.
        missing: String,
    },
}
