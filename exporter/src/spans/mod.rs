//! Activities as OpenTelemetry spans and log records.
//!
//! Pure: the same activities give the same signals, ids included. Each span is complete when it
//! leaves, and two different contents never leave under one id. Knows nothing of OTLP or the store.
//!
//! What a traced program said (names, arguments, paths) is bytes; OpenTelemetry's strings are UTF-8.
//! What is not UTF-8 becomes U+FFFD here, and only here.

mod account;
mod address;
mod agents;
mod attributes;
mod audit;
mod call_arguments;
mod connection;
mod container;
mod content;
mod continuation;
mod errno;
#[cfg(test)]
pub(crate) mod fixture;
mod id;
mod image;
mod interpreter;
mod link;
mod loss;
pub mod model;
mod name;
mod note;
mod object;
mod outline;
mod overhead;
#[cfg(test)]
mod random_streams;
mod resolution;
mod resource_attributes;
mod service;
mod status;
mod time;
mod transfer;

use agentsight_ebpf::{Overhead, ProcessKey};

use id::SpanIds;
pub use id::root_span;
use loss::Losses;
use model::{Draft, Signal, Span};
use service::Services;

use crate::graph::{Activity, Image, ImageId, Origin, Part};
use crate::session::{Session, SpanRef};

/// Says in OpenTelemetry what the graph found, one activity after the other.
pub struct Spans {
    ids: SpanIds,
    session_id: String,
    target_names: bool,
    content_on_spans: bool,
    services: Services,
    losses: Losses,
    root: Option<ProcessKey>,
    overhead: Option<Overhead>,
}

impl Spans {
    /// A translation that has said nothing yet.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self {
            ids: SpanIds::new(session),
            session_id: session.id.to_string(),
            target_names: session.options.target_names,
            content_on_spans: session.options.content_on_spans,
            services: Services::new(session),
            losses: Losses::default(),
            root: None,
            overhead: None,
        }
    }

    /// Append what OpenTelemetry should hear of one activity to `out`.
    pub fn translate(&mut self, activity: &Activity, out: &mut Vec<Signal>) {
        match activity {
            Activity::ImageBegan(image) => {
                self.learn_root(image);
                let span = image::announced(self, image);
                out.push(self.image_draft(image, Some(span)));
            }
            Activity::ImageEnded(ended) => {
                let span = image::whole(self, ended);
                out.extend(audit::records(&ended.account, &ended.image, &span));
                out.extend([self.last_of(span, ended.image.id), self.image_draft(&ended.image, None)]);
            }
            Activity::ImagePromoted(promoted) => {
                let span = image::promoted(self, promoted);
                let image = &promoted.image;
                out.extend(audit::records(&promoted.account, image, &span));
                let exit = image::unknown_exit(self, image, &promoted.newest);
                out.extend([self.sent(span, image.id), self.image_draft(image, Some(exit))]);
            }
            Activity::ImageContinued(continued) => {
                let span = continuation::continuation(self, continued);
                let image = &continued.image;
                out.push(self.sent(span, image.id));
                if continued.exits_here {
                    let exit = image::unknown_exit(self, image, &continued.place);
                    out.push(self.image_draft(image, Some(exit)));
                }
            }
            Activity::ImageExited(exited) => {
                let span = image::exit(self, exited);
                out.extend(audit::records(&exited.account, &exited.image, &span));
                out.extend([self.last_of(span, exited.image.id), self.image_draft(&exited.image, None)]);
            }
            Activity::Transferred(transfer) => {
                let span = transfer::burst(self, transfer);
                let of = span.id;
                out.push(self.sent_of_no_image(span));
                if let Some(moved) = &transfer.content {
                    out.push(Signal::Content(Box::new(content::of_span(of, moved))));
                }
                if transfer.promised {
                    out.push(draft(of, None));
                }
            }
            Activity::TransferPromised(transfer) => {
                let span = transfer::burst(self, transfer);
                out.push(draft(span.id, Some(span)));
            }
            Activity::ConnectionBegan(connection) => {
                let span = connection::announced(self, connection);
                out.push(draft(connection::span_ref(self, connection), Some(span)));
            }
            Activity::ConnectionContinued(continued) => {
                let span = connection::continuation(self, continued);
                out.push(self.sent_of_no_image(span));
            }
            Activity::ConnectionPromoted(promoted) => {
                let connection = &promoted.connection;
                let span = connection::promoted(self, promoted);
                let close = connection::unknown_close(self, connection);
                let of = connection::span_ref(self, connection);
                out.extend([self.sent_of_no_image(span), draft(of, Some(close))]);
            }
            Activity::ConnectionEnded(ended) => {
                let span = match &ended.close_under {
                    Some(under) => connection::close(self, ended, under),
                    None => connection::whole(self, ended),
                };
                let of = connection::span_ref(self, &ended.connection);
                out.extend([self.sent_of_no_image(span), draft(of, None)]);
            }
            Activity::Resolved(resolved) => {
                let span = resolution::resolution(self, resolved);
                out.push(self.sent_of_no_image(span));
            }
            Activity::Overhead(overhead) => self.overhead = Some(*overhead),
            Activity::Lost(lost) => {
                let log = self.lost(lost);
                out.push(log);
            }
        }
    }

    fn image_draft(&self, image: &Image, span: Option<Span>) -> Signal {
        let span_id = self.ids.image(image.id, Part::Original, image.trace.segment);
        draft(SpanRef { trace_id: image.trace.id, span_id }, span)
    }

    /// The session's service goes by what its root process runs.
    fn learn_root(&mut self, image: &Image) {
        // A tree that was found running has its root said first.
        if matches!(image.origin, Origin::Root | Origin::Running) && self.root.is_none() {
            self.root = Some(image.id.process);
            self.losses.note_root(image.id);
        }
        if self.root == Some(image.id.process)
            && let Some(program) = &image.program
        {
            self.services.note_root_program(program);
        }
    }

    fn sent(&mut self, mut span: Span, image: ImageId) -> Signal {
        attributes::append(&mut span, self.losses.take_for(image));
        if self.root == Some(image.process)
            && let Some(overhead) = &self.overhead
        {
            attributes::append(&mut span, overhead::attributes(overhead));
        }
        Signal::Span(Box::new(span))
    }

    /// The span of a burst, a connection or a look-up: it says what was lost only where no root's span is to come.
    fn sent_of_no_image(&mut self, mut span: Span) -> Signal {
        attributes::append(&mut span, self.losses.take_for_any());
        Signal::Span(Box::new(span))
    }

    fn last_of(&mut self, span: Span, image: ImageId) -> Signal {
        let signal = self.sent(span, image);
        self.losses.note_end(image);
        signal
    }
}

fn draft(of: SpanRef, span: Option<Span>) -> Signal {
    Signal::Draft(Box::new(Draft { of, span }))
}
