//! What the stub and the collector say to each other, over one socket; and whoever asks, and the daemon.
//!
//! Frames of CBOR behind a 32-bit little-endian length. The socket is the collector's standard input *and*
//! output, because sudo closes every other descriptor.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use agentsight_ebpf::CapturePolicy;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::inquiry::{Inquiry, Reply};
use crate::otlp::settings::Settings;
use crate::session::{CallerContext, SessionOptions};
use crate::terminal::Format;

/// Both ends are one binary, but sudo may find another one: then this number says so.
pub const CHANNEL_VERSION: u32 = 3;

/// A frame longer than this is a fault: the largest real one is a file of type information (`--btf`).
const FRAME_BYTES_MAX: u32 = 64 << 20;

/// From the stub to the collector.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToCollector {
    /// First: what is to be traced and how.
    Request(Box<Request>),
    /// The command has ended, or the user wants no more of a running tree: drain now.
    End,
    /// To the daemon, in place of a request: about what was traced. More may follow its answer.
    Question(Box<Inquiry>),
}

/// From the collector to the stub.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToStub {
    /// The collector runs (sudo has answered).
    Hello {
        /// [`CHANNEL_VERSION`] of the collector.
        version: u32,
    },
    /// Everything is attached: the next child that the stub forks will be the root.
    Attached,
    /// The root's fork was seen: it may exec, with these variables set.
    Started {
        /// `TRACEPARENT` and the like: to be set, or, without a value, unset.
        environment: Vec<(String, Option<String>)>,
    },
    /// Tracing could not start; nothing was run.
    Failed {
        /// Why, and how to mend it.
        message: String,
    },
    /// Bytes for the file that the stub has open for `--output` or `record`.
    Output {
        /// Which.
        file: OutputFile,
        /// What to append.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// A sentence that the user should read when the command is done.
    Notice {
        /// The sentence.
        message: String,
    },
    /// What happened, as a tree or as JSON.
    Summary {
        /// Ends with a newline.
        text: String,
    },
    /// All has been said.
    Finished,
    /// To a question.
    Answer(Box<Reply>),
}

/// The files that the stub writes with the caller's own rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputFile {
    /// `--output`: spans as OTLP/JSON lines.
    Spans,
    /// `record`: the event stream.
    Recording,
}

/// What the stub wants traced.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Process id of the stub.
    pub stub: u32,
    /// What becomes the root.
    pub target: Target,
    /// The user whom the session belongs to.
    pub uid: u32,
    /// What changes the spans.
    pub options: SessionOptions,
    /// Trace context of the caller.
    pub context: CallerContext,
    /// How long descendants are followed after the command has ended.
    pub linger: Duration,
    /// Where each signal goes, if anywhere.
    pub destination: Settings,
    /// Which files the stub has open.
    pub outputs: Vec<OutputFile>,
    /// How to sum the session up, if at all.
    pub summary: Option<Format>,
    /// Size of the ring, bytes.
    pub ring_bytes: Option<u32>,
    /// Size of the ring for what is no process's lifecycle, bytes.
    pub data_ring_bytes: Option<u32>,
    /// Perf buffers, even where the kernel has a ring buffer.
    pub perf_buffer: bool,
    /// Type information of the kernel, read by the stub with the caller's rights.
    pub btf: Option<BtfFile>,
    /// Send AgentSight's own metrics and traces too.
    pub self_telemetry: bool,
    /// What of payload is captured.
    pub capture: CapturePolicy,
    /// Size of the ring for payload, bytes.
    pub content_ring_bytes: Option<u32>,
}

/// Whose tree is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The next child that the stub forks.
    NextChild,
    /// A process that runs, by its id.
    Running(u32),
}

/// A file of kernel type information.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BtfFile {
    /// For messages only.
    pub path: PathBuf,
    /// What is in it.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The channel broke.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other side is gone, or the socket failed.
    #[error("the connection between agentsight and its collector broke: {0}")]
    Socket(#[from] io::Error),
    /// The other side said something that this version does not know.
    #[error("agentsight and its collector do not understand each other ({0}): are both of one version?")]
    Frame(String),
}

/// Send one frame.
///
/// # Errors
/// The other side is gone.
pub fn send(mut to: impl Write, message: &impl Serialize) -> Result<(), ChannelError> {
    let mut frame = vec![0; 4];
    ciborium::into_writer(message, &mut frame).map_err(|error| ChannelError::Frame(error.to_string()))?;
    let length = u32::try_from(frame.len() - 4)
        .ok()
        .filter(|length| *length <= FRAME_BYTES_MAX)
        .ok_or_else(|| ChannelError::Frame(format!("a frame of {} bytes is too long", frame.len())))?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    to.write_all(&frame)?;
    Ok(to.flush()?)
}

/// Whether `bytes` begin with a frame that [`receive`] would not wait for.
///
/// # Errors
/// They begin with what is no frame of this version.
pub fn has_whole_frame(bytes: &[u8]) -> Result<bool, ChannelError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(false) };
    Ok(rest.len() >= frame_bytes(*length)?)
}

/// Receive one frame; `None` when the other side has closed.
///
/// # Errors
/// The socket failed, or what came is no frame of this version.
pub fn receive<T: DeserializeOwned>(from: impl Read) -> Result<Option<T>, ChannelError> {
    receive_within(from, FRAME_BYTES_MAX)
}

/// As [`receive`], from somebody who is not trusted with much memory: a longer frame is refused.
///
/// # Errors
/// As [`receive`].
pub fn receive_within<T: DeserializeOwned>(mut from: impl Read, bytes_max: u32) -> Result<Option<T>, ChannelError> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let bytes = frame_bytes(length)?;
    if bytes > usize::try_from(bytes_max).unwrap_or(usize::MAX) {
        return Err(ChannelError::Frame(format!("a frame of {bytes} bytes is too long here")));
    }
    let mut frame = vec![0; bytes];
    from.read_exact(&mut frame)?;
    ciborium::from_reader(frame.as_slice()).map(Some).map_err(|error| ChannelError::Frame(error.to_string()))
}

fn frame_bytes(length: [u8; 4]) -> Result<usize, ChannelError> {
    let length = u32::from_le_bytes(length);
    usize::try_from(length)
        .ok()
        .filter(|_| length <= FRAME_BYTES_MAX)
        .ok_or_else(|| ChannelError::Frame(format!("a frame of {length} bytes is too long")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_as_they_were_sent_and_the_end_is_no_error() {
        let mut wire = Vec::new();
        send(&mut wire, &ToStub::Notice { message: "one".to_owned() }).expect("a Vec takes all");
        send(&mut wire, &ToStub::Output { file: OutputFile::Spans, bytes: vec![0, 255] }).expect("a Vec takes all");
        let mut from = wire.as_slice();
        let first: Option<ToStub> = receive(&mut from).expect("it is a frame");
        assert!(matches!(first, Some(ToStub::Notice { message }) if message == "one"));
        let second: Option<ToStub> = receive(&mut from).expect("it is a frame");
        assert!(matches!(second, Some(ToStub::Output { file: OutputFile::Spans, bytes }) if bytes == [0, 255]));
        assert!(receive::<ToStub>(&mut from).expect("the end is no error").is_none());
    }

    #[test]
    fn a_length_that_no_frame_has_is_refused_before_memory_is_taken() {
        let error = receive::<ToStub>([0xff; 8].as_slice()).expect_err("it is too long");
        assert!(error.to_string().contains("too long"), "{error}");
    }
}
