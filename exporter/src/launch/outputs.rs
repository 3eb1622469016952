//! The files that the user named, opened and written with the user's own rights.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::caller::Caller;
use crate::channel::OutputFile;
use crate::private_file;

/// A file could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It could not be created.
    #[error("{path} cannot be written: {reason}")]
    Create {
        /// As given.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Writing failed midway; tracing and the command go on.
    #[error("writing {path} failed, what follows is missing from it: {reason}")]
    Write {
        /// As given.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
}

/// The open files of one run.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    files: Vec<Output>,
}

#[derive(Debug)]
struct Output {
    file: OutputFile,
    path: PathBuf,
    to: Option<File>,
}

impl Outputs {
    /// Creates (or empties) `path`, readable by its owner only: traces and recordings hold what programs did.
    pub(super) fn open(&mut self, file: OutputFile, path: &Path, caller: &Caller) -> Result<(), OutputError> {
        let create = || private_file::create(path);
        let failed = |reason: String| OutputError::Create { path: path.to_owned(), reason };
        let to = caller
            .with_rights(create)
            .map_err(|error| failed(error.desc().to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        self.files.push(Output { file, path: path.to_owned(), to: Some(to) });
        Ok(())
    }

    pub(super) fn kinds(&self) -> Vec<OutputFile> {
        self.files.iter().map(|output| output.file).collect()
    }

    /// Appends; after the first failure the file is given up, said once.
    pub(super) fn write(&mut self, file: OutputFile, bytes: &[u8]) -> Result<(), OutputError> {
        let Some(output) = self.files.iter_mut().find(|output| output.file == file) else { return Ok(()) };
        let Some(to) = &mut output.to else { return Ok(()) };
        if let Err(reason) = to.write_all(bytes) {
            output.to = None;
            return Err(OutputError::Write { path: output.path.clone(), reason });
        }
        Ok(())
    }
}
