//! Writes a recording.

use std::io::{self, Write};

use agentsight_ebpf::{Event, KernelNanos};

use super::item::{End, Header, ItemRef};
use super::{FORMAT_VERSION, MAGIC, frame};
use crate::session::Session;

/// A frame is closed when it holds so much before compression: large enough to compress well, small enough that a
/// crash between two flushes loses little.
const FRAME_BYTES: usize = 64 << 10;

/// Why a recording could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file.
    #[error("cannot write the recording: {0}")]
    Io(#[from] io::Error),
    /// One item could not be said in CBOR.
    #[error("cannot encode an item of the recording: {0}")]
    Encode(#[from] ciborium::ser::Error<io::Error>),
}

/// Writes one session's events; equal calls make equal bytes.
#[derive(Debug)]
pub struct Writer<W: Write> {
    output: W,
    items: Vec<u8>,
    events: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the magic, the format version and the header, and flushes them.
    ///
    /// # Errors
    /// When `output` cannot be written.
    pub fn begin(mut output: W, session: &Session) -> Result<Self, WriteError> {
        output.write_all(&MAGIC)?;
        output.write_all(&FORMAT_VERSION.to_le_bytes())?;
        let mut writer = Self { output, items: Vec::new(), events: 0 };
        let header = Header { agentsight_version: env!("CARGO_PKG_VERSION").to_owned(), session: session.clone() };
        writer.put(&ItemRef::Header(&header))?;
        writer.flush()?;
        Ok(writer)
    }

    /// Adds one event, which is redacted already. It is in the file after the next [`flush`](Self::flush) at the latest.
    ///
    /// # Errors
    /// When the file cannot be written, or the event cannot be encoded.
    pub fn write_event(&mut self, event: &Event) -> Result<(), WriteError> {
        self.put(&ItemRef::Event(event))?;
        self.events += 1;
        if self.items.len() >= FRAME_BYTES {
            self.end_frame()?;
        }
        Ok(())
    }

    /// Everything so far becomes readable, whatever happens later. Worth calling when events pause, not for each.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.end_frame()?;
        Ok(self.output.flush()?)
    }

    /// Ends the recording: `at` is when the session ended, which its replay needs for what still lived. Returns the output.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self, at: KernelNanos) -> Result<W, WriteError> {
        let end = End { events: self.events, at };
        self.put(&ItemRef::End(end))?;
        self.flush()?;
        Ok(self.output)
    }

    /// Where the bytes go.
    pub fn output_mut(&mut self) -> &mut W {
        &mut self.output
    }

    fn put(&mut self, item: &ItemRef<'_>) -> Result<(), WriteError> {
        Ok(ciborium::into_writer(item, &mut self.items)?)
    }

    fn end_frame(&mut self) -> Result<(), WriteError> {
        if !self.items.is_empty() {
            self.output.write_all(&frame::encode(&self.items)?)?;
            self.items.clear();
        }
        Ok(())
    }
}
