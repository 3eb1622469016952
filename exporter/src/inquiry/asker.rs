//! Whoever asks the daemon: the way to it, and a source of spans over it.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use opentelemetry::trace::TraceId;

use super::wire::{Damaged, Inquiry, Next, Reply, Spans, WireId};
use crate::channel::{self, ChannelError, ToCollector, ToStub};
use crate::daemon_socket::{self, Found};
use crate::query::words::Words;
use crate::query::{Question, Source, SourceError};
use crate::session::{SessionId, SpanRef};
use crate::spans::model::SpanContent;
use crate::store::{Seq, SessionSummary, StoredSpan};

/// For its hello.
const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// The daemon gives itself less for an answer, and a while to wait for its turn.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Ids in one question; more become several.
const IDS: usize = 250;

/// The way to the daemon of this machine.
#[derive(Debug)]
pub struct Asker {
    /// The daemon hangs up on who has nothing to ask for a while.
    socket: RefCell<Option<UnixStream>>,
}

impl Asker {
    /// Asks over a socket that a daemon has said hello on.
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        Self { socket: RefCell::new(Some(socket)) }
    }

    /// Looks for a daemon.
    ///
    /// # Errors
    /// Why the one that is there is of no use. `None` where there is none.
    pub fn find() -> Result<Option<Self>, String> {
        match daemon_socket::find(HELLO_LIMIT) {
            Found::Daemon(socket) => Ok(Some(Self::new(socket))),
            Found::Nobody => Ok(None),
            Found::Stranger(why) => Err(why),
        }
    }

    /// The newest sessions of whoever asks.
    ///
    /// # Errors
    /// When the daemon does not answer, as of all questions.
    pub fn sessions(&self, limit: usize) -> Result<Vec<SessionSummary>, SourceError> {
        match self.ask(Inquiry::Sessions { limit })? {
            Reply::Sessions(listed) => {
                listed.iter().map(|listed| listed.summary().map_err(|error| damaged(&error))).collect()
            }
            other => Err(odd(other)),
        }
    }

    /// Sessions whose ids begin with these hex digits.
    ///
    /// # Errors
    /// As of all questions.
    pub fn sessions_like(&self, beginning: &str) -> Result<Vec<SessionId>, SourceError> {
        match self.ask(Inquiry::SessionsLike { beginning: beginning.to_owned() })? {
            Reply::SessionIds(ids) => Ok(ids),
            other => Err(odd(other)),
        }
    }

    /// Traces whose ids begin with these hex digits.
    ///
    /// # Errors
    /// As of all questions.
    pub fn traces_like(&self, beginning: &str) -> Result<Vec<[u8; 16]>, SourceError> {
        match self.ask(Inquiry::TracesLike { beginning: beginning.to_owned() })? {
            Reply::TraceIds(ids) => Ok(ids),
            other => Err(odd(other)),
        }
    }

    /// Spans whose ids begin with these hex digits.
    ///
    /// # Errors
    /// As of all questions.
    pub fn spans_like(&self, beginning: &str) -> Result<Vec<SpanRef>, SourceError> {
        match self.ask(Inquiry::SpansLike { beginning: beginning.to_owned() })? {
            Reply::SpanIds(ids) => Ok(ids.into_iter().map(SpanRef::from).collect()),
            other => Err(odd(other)),
        }
    }

    /// A trace's spans in the order in which they were stored, about `limit` at most; what is open yet comes last.
    ///
    /// # Errors
    /// As of all questions.
    pub fn trace(&self, id: TraceId, limit: usize) -> Result<Vec<StoredSpan>, SourceError> {
        self.all_parts(limit, |after| Inquiry::Trace { id: id.to_bytes(), after })
    }

    /// A session's spans in the order in which they were stored, about `limit` at most; what is open yet comes last.
    ///
    /// # Errors
    /// As of all questions.
    pub fn session_spans(&self, id: SessionId, limit: usize) -> Result<Vec<StoredSpan>, SourceError> {
        self.all_parts(limit, |after| Inquiry::Session { id, after })
    }

    /// What a span moved; `None` where nothing was captured, nothing is kept, or nothing of it is for whoever asks.
    ///
    /// # Errors
    /// As of all questions; and where it is not sure that the process stayed that of whoever asks.
    pub fn content(&self, of: SpanRef) -> Result<Option<SpanContent>, SourceError> {
        match self.ask(Inquiry::Content { of: of.into() })? {
            Reply::Content(moved) => moved.map(|moved| moved.unpack(of)).transpose().map_err(|error| damaged(&error)),
            other => Err(odd(other)),
        }
    }

    /// The place of the span that was stored last.
    ///
    /// # Errors
    /// As of all questions.
    pub fn last_stored(&self) -> Result<Seq, SourceError> {
        match self.ask(Inquiry::LastStored)? {
            Reply::Place(place) => Ok(place),
            other => Err(odd(other)),
        }
    }

    /// Some of the spans that were stored behind a place, and the place of the last that was looked at.
    ///
    /// # Errors
    /// As of all questions.
    pub fn stored_since(&self, last: Seq) -> Result<(Vec<StoredSpan>, Seq), SourceError> {
        let spans = self.spans_of(Inquiry::StoredSince { after: last })?;
        let next = if let Some(Next::Behind(place)) = spans.next { place } else { last };
        Ok((unpack(&spans)?, next))
    }

    fn all_parts(&self, limit: usize, inquiry: impl Fn(Seq) -> Inquiry) -> Result<Vec<StoredSpan>, SourceError> {
        let (mut found, mut after) = (Vec::new(), Seq::BEFORE_ANY);
        loop {
            let part = self.spans_of(inquiry(after))?;
            found.extend(unpack(&part)?);
            match part.next {
                Some(Next::Behind(place)) if place > after && found.len() < limit => after = place,
                _ => return Ok(found),
            }
        }
    }

    fn spans_of(&self, inquiry: Inquiry) -> Result<Spans, SourceError> {
        match self.ask(inquiry)? {
            Reply::Spans(spans) => Ok(spans),
            other => Err(odd(other)),
        }
    }

    fn around(
        &self,
        ids: &[SpanRef],
        inquiry: impl Fn(Vec<WireId>) -> Inquiry,
    ) -> Result<Vec<StoredSpan>, SourceError> {
        let mut found = Vec::new();
        for ids in ids.chunks(IDS) {
            let ids = ids.iter().copied().map(WireId::from).collect();
            found.extend(unpack(&self.spans_of(inquiry(ids))?)?);
        }
        Ok(found)
    }

    fn ask(&self, inquiry: Inquiry) -> Result<Reply, SourceError> {
        let question = ToCollector::Question(Box::new(inquiry));
        let mut kept = self.socket.borrow_mut();
        if let Some(socket) = kept.take() {
            match exchange(&socket, &question) {
                Ok(Some(reply)) => {
                    *kept = Some(socket);
                    return told(reply);
                }
                // It has hung up meanwhile.
                Ok(None) => {}
                Err(ChannelError::Socket(error)) if is_broken(&error) => {}
                Err(error) => return Err(trouble(error.to_string())),
            }
        }
        let socket = match daemon_socket::find(HELLO_LIMIT) {
            Found::Daemon(socket) => socket,
            Found::Nobody => return Err(trouble("is gone".to_owned())),
            Found::Stranger(why) => return Err(trouble(format!("cannot be asked: {why}"))),
        };
        let reply = exchange(&socket, &question).map_err(|error| trouble(error.to_string()))?;
        *kept = Some(socket);
        told(reply.ok_or_else(|| trouble("hung up: it may have too many questions at the moment".to_owned()))?)
    }
}

fn is_broken(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset)
}

fn exchange(socket: &UnixStream, question: &ToCollector) -> Result<Option<ToStub>, ChannelError> {
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    socket.set_write_timeout(Some(ANSWER_LIMIT))?;
    channel::send(socket, question)?;
    channel::receive(socket)
}

fn told(reply: ToStub) -> Result<Reply, SourceError> {
    match reply {
        ToStub::Answer(reply) => match *reply {
            Reply::Refused(why) => Err(trouble(format!("refuses: {why}"))),
            reply => Ok(reply),
        },
        ToStub::Failed { message } => Err(trouble(format!("refuses: {message}"))),
        _ => Err(trouble("answers out of order".to_owned())),
    }
}

fn unpack(spans: &Spans) -> Result<Vec<StoredSpan>, SourceError> {
    spans.unpack().map_err(|error| damaged(&error))
}

fn damaged(error: &Damaged) -> SourceError {
    trouble(error.to_string())
}

fn odd(_: Reply) -> SourceError {
    trouble("answers another question".to_owned())
}

fn trouble(trouble: String) -> SourceError {
    SourceError::Backend { url: format!("the daemon at {}", daemon_socket::path().display()), trouble }
}

/// The daemon as a source.
#[derive(Debug)]
pub struct DaemonSource<'a>(pub &'a Asker);

impl Source for DaemonSource<'_> {
    fn spans(&mut self, ids: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.0.around(ids, |ids| Inquiry::Spans { ids })
    }

    fn children(&mut self, parents: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.0.around(parents, |of| Inquiry::Children { of })
    }

    fn effects(&mut self, causes: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.0.around(causes, |of| Inquiry::Effects { of })
    }

    fn search(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(StoredSpan) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let mut words = Words { subtree: None, ..Words::of(question) };
        loop {
            let page = self.0.spans_of(Inquiry::Search { words: Box::new(words.clone()) })?;
            for found in unpack(&page)? {
                if visit(found).is_break() {
                    return Ok(());
                }
            }
            match page.next {
                Some(Next::Cursor(cursor)) if words.cursor.as_ref() != Some(&cursor) => words.cursor = Some(cursor),
                _ => return Ok(()),
            }
        }
    }

    fn lossy(&mut self, sessions: &[SessionId]) -> Result<Vec<StoredSpan>, SourceError> {
        let mut found = Vec::new();
        for sessions in sessions.chunks(IDS) {
            found.extend(unpack(&self.0.spans_of(Inquiry::Lossy { sessions: sessions.to_vec() })?)?);
        }
        Ok(found)
    }
}
