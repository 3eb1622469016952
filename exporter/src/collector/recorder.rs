//! `record`: the event stream to the stub, which writes the file with the user's rights.

use std::io::{self, Write};
use std::sync::Arc;

use agentsight_ebpf::{Event, KernelNanos};

use super::stub::Stub;
use crate::channel::{OutputFile, ToStub};
use crate::recording::{WriteError, Writer};
use crate::session::Session;

/// The recording of a running session.
pub(crate) struct Recorder {
    writer: Writer<ToFile>,
}

impl Recorder {
    pub(crate) fn begin(stub: Arc<Stub>, session: &Session) -> Result<Self, WriteError> {
        Writer::begin(ToFile(stub), session).map(|writer| Self { writer })
    }

    pub(super) fn write(&mut self, event: &Event) {
        if let Err(error) = self.writer.write_event(event) {
            tracing::warn!(%error, "an event is missing from the recording");
        }
    }

    /// What was written so far reaches the file: a crash loses no more than the last moments.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.writer.flush() {
            tracing::warn!(%error, "the recording is behind");
        }
    }

    pub(super) fn finish(self, at: KernelNanos) {
        if let Err(error) = self.writer.finish(at) {
            tracing::warn!(%error, "the recording has no end mark");
        }
    }
}

/// The recording's file, at the other end of the channel. What the disk says to it, the stub says to the user.
struct ToFile(Arc<Stub>);

impl Write for ToFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.say(ToStub::Output { file: OutputFile::Recording, bytes: bytes.to_vec() });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
