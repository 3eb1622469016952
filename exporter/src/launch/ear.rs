//! Hearing the collector without ever waiting for it: it may hang in the middle of a sentence.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::channel::{self, ChannelError, ToCollector, ToStub};

/// So much is read at a time: between two readings the stub looks after the command.
const READ_BYTES: usize = 256 << 10;

/// The stub's end of the channel once the command runs.
#[derive(Debug)]
pub(super) struct Ear {
    socket: UnixStream,
    /// What came and was not yet a whole frame.
    heard: Vec<u8>,
}

/// The collector will say nothing more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silence;

impl Ear {
    pub(super) fn new(socket: UnixStream) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, heard: Vec::new() })
    }

    /// Readable when there is something to hear.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether it arrives is not known; what matters is that nobody waits for it.
    pub(super) fn tell(&self, message: &ToCollector) {
        let _ = channel::send(&self.socket, message);
    }

    /// Everything that has come in whole, to be called when the socket is readable.
    pub(super) fn hear(&mut self) -> (Vec<ToStub>, Result<(), Silence>) {
        let mut bytes = vec![0; READ_BYTES];
        let end = match self.socket.read(&mut bytes) {
            Ok(0) => Err(Silence),
            Ok(length) => {
                self.heard.extend_from_slice(bytes.get(..length).unwrap_or_default());
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(_) => Err(Silence),
        };
        match self.take_frames() {
            (messages, Ok(())) => (messages, end),
            (messages, Err(_)) => (messages, Err(Silence)),
        }
    }

    fn take_frames(&mut self) -> (Vec<ToStub>, Result<(), ChannelError>) {
        let mut messages = Vec::new();
        let mut rest = self.heard.as_slice();
        let mut result = Ok(());
        loop {
            match channel::has_whole_frame(rest)
                .and_then(|is_whole| if is_whole { channel::receive::<ToStub>(&mut rest) } else { Ok(None) })
            {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let taken = self.heard.len() - rest.len();
        self.heard.drain(..taken);
        (messages, result)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_sentence_that_stops_in_the_middle_holds_nobody_up_and_is_heard_when_it_goes_on() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let mut ear = Ear::new(ours).expect("it is a socket");
        let mut wire = Vec::new();
        channel::send(&mut wire, &ToStub::Notice { message: "one".to_owned() }).expect("a Vec takes all");
        channel::send(&mut wire, &ToStub::Finished).expect("a Vec takes all");
        let middle = wire.len() - 3;
        theirs.write_all(&wire[..middle]).expect("there is room");
        let (heard, end) = ear.hear();
        assert!(matches!(&heard[..], [ToStub::Notice { message }] if message == "one"), "{heard:?}");
        assert_eq!(end, Ok(()));
        assert!(ear.hear().0.is_empty());
        theirs.write_all(&wire[middle..]).expect("there is room");
        assert!(matches!(ear.hear().0[..], [ToStub::Finished]));
        drop(theirs);
        assert_eq!(ear.hear().1, Err(Silence));
    }

    #[test]
    fn what_is_no_frame_is_the_end() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let mut ear = Ear::new(ours).expect("it is a socket");
        theirs.write_all(&[0xff; 64]).expect("there is room");
        assert_eq!(ear.hear().1, Err(Silence));
    }
}
