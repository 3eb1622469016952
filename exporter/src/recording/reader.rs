//! Reads a recording: every event before the damage first, then what the damage is.

use std::io::{self, Read};

use agentsight_ebpf::Event;

use super::frame::{self, Frame};
use super::item::{End, Header, Item};
use super::{FORMAT_VERSION, MAGIC};

/// Why a recording cannot be read, or not further. Positions are bytes from the beginning of the file.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It does not begin as recordings do.
    #[error("this is not a recording of `agentsight record`")]
    NotARecording,
    /// Written by a later AgentSight in another format.
    #[error(
        "the recording has format version {version}, and this AgentSight reads up to {FORMAT_VERSION}: \
         replay it with the version that wrote it, or a later one"
    )]
    NewerFormat {
        /// The file's version.
        version: u16,
    },
    /// It ends too early: its writer was stopped, or the copy is not whole.
    #[error("the recording is truncated at byte {at}: it ends after {events} events, without its end mark")]
    Truncated {
        /// The file's length.
        at: u64,
        /// How many events came before.
        events: u64,
    },
    /// The bytes are not those that were written.
    #[error("the recording is corrupt at byte {at}, after {events} events: {reason}")]
    Corrupt {
        /// Where the damaged frame begins.
        at: u64,
        /// How many events came before.
        events: u64,
        /// What is wrong.
        reason: String,
    },
    /// The file system.
    #[error("cannot read the recording at byte {at}: {source}")]
    Io {
        /// Where the frame begins that could not be read.
        at: u64,
        /// Why.
        source: io::Error,
    },
}

/// Reads one recording. As an iterator it gives its events, and after them the error, if it does not end as it should.
#[derive(Debug)]
pub struct Reader<R: Read> {
    source: R,
    header: Header,
    /// Items of the current frame, those from `next_item` on not read yet.
    items: Vec<u8>,
    next_item: usize,
    /// Where the current frame and the next one begin.
    frame_at: u64,
    next_frame_at: u64,
    events: u64,
    skipped: u64,
    end: Option<End>,
    is_over: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header. `source` is best buffered.
    ///
    /// # Errors
    /// When this is no recording, or one that this version cannot read, or its header is damaged.
    pub fn open(mut source: R) -> Result<Self, ReadError> {
        read_magic(&mut source)?;
        let at = (MAGIC.len() + size_of_val(&FORMAT_VERSION)) as u64;
        let (mut items, length) = next_frame(&mut source, at, 0)?.ok_or(ReadError::Truncated { at, events: 0 })?;
        let corrupt = |reason: String| ReadError::Corrupt { at, events: 0, reason };
        let mut rest = items.as_slice();
        let header = match Item::take(&mut rest) {
            Ok(Item::Header(header)) => *header,
            Ok(_) => return Err(corrupt("it does not begin with its header".to_owned())),
            Err(error) => return Err(corrupt(format!("its header cannot be read: {error}"))),
        };
        items.drain(..items.len() - rest.len());
        Ok(Self {
            source,
            header,
            items,
            next_item: 0,
            frame_at: at,
            next_frame_at: at + length,
            events: 0,
            skipped: 0,
            end: None,
            is_over: false,
        })
    }

    /// What the recording opens with.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many events so far were of a later version of AgentSight and passed over.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// What the recording ends with, once it was read to the end; `None` before, and where the end is missing.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The next event, or `None` at the end mark.
    fn next_event(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            let mut rest = &self.items[self.next_item..];
            if rest.is_empty() {
                self.load_frame()?;
                continue;
            }
            let item =
                Item::take(&mut rest).map_err(|error| self.corrupt(format!("an item cannot be read: {error}")))?;
            self.next_item = self.items.len() - rest.len();
            match item {
                Item::Event(event) => {
                    self.events += 1;
                    return Ok(Some(event));
                }
                Item::UnknownEvent => self.skipped += 1,
                Item::Unknown => {}
                Item::Header(_) => return Err(self.corrupt("it has a second header".to_owned())),
                Item::End(end) => return self.check_end(end).map(|()| None),
            }
        }
    }

    fn load_frame(&mut self) -> Result<(), ReadError> {
        self.frame_at = self.next_frame_at;
        let events = self.events;
        let frame = next_frame(&mut self.source, self.frame_at, events)?;
        let (items, length) = frame.ok_or(ReadError::Truncated { at: self.frame_at, events })?;
        self.next_frame_at += length;
        self.items = items;
        self.next_item = 0;
        Ok(())
    }

    fn check_end(&mut self, end: End) -> Result<(), ReadError> {
        let read = self.events + self.skipped;
        if end.events != read {
            return Err(self.corrupt(format!("it says that it has {} events, and {read} were read", end.events)));
        }
        let at = self.next_frame_at;
        if self.next_item < self.items.len() || next_frame(&mut self.source, at, self.events)?.is_some() {
            return Err(self.corrupt("it goes on after its end mark".to_owned()));
        }
        self.end = Some(end);
        Ok(())
    }

    fn corrupt(&self, reason: String) -> ReadError {
        ReadError::Corrupt { at: self.frame_at, events: self.events, reason }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.next_event().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

fn read_magic(source: &mut impl Read) -> Result<(), ReadError> {
    let mut opening = Vec::new();
    let length = MAGIC.len() + size_of_val(&FORMAT_VERSION);
    source.take(length as u64).read_to_end(&mut opening).map_err(|source| ReadError::Io { at: 0, source })?;
    let magic = &opening[..opening.len().min(MAGIC.len())];
    if magic.is_empty() || !MAGIC.starts_with(magic) {
        return Err(ReadError::NotARecording);
    }
    let Some([low, high]) = opening.get(MAGIC.len()..length) else {
        return Err(ReadError::Truncated { at: opening.len() as u64, events: 0 });
    };
    match u16::from_le_bytes([*low, *high]) {
        FORMAT_VERSION => Ok(()),
        0 => Err(ReadError::Corrupt {
            at: MAGIC.len() as u64,
            events: 0,
            reason: "format version 0 was never written".to_owned(),
        }),
        version => Err(ReadError::NewerFormat { version }),
    }
}

/// The items of the frame at `at` and its length in the file; `None` at the end of the file.
fn next_frame(source: &mut impl Read, at: u64, events: u64) -> Result<Option<(Vec<u8>, u64)>, ReadError> {
    match frame::decode(source).map_err(|source| ReadError::Io { at, source })? {
        Frame::Whole { items, length } => Ok(Some((items, length))),
        Frame::None => Ok(None),
        Frame::Truncated { length } => Err(ReadError::Truncated { at: at + length, events }),
        Frame::Corrupt { reason } => Err(ReadError::Corrupt { at, events, reason: reason.to_owned() }),
    }
}
