//! Activities as OpenTelemetry spans and log records.
//!
//! Pure: the same activities give the same signals, ids included. Each span is complete when it
//! leaves, and two different contents never leave under one id. Knows nothing of OTLP or the store.
//!
//! What a traced program said (names, arguments, paths) is bytes; OpenTelemetry's strings are UTF-8.
//! What is not UTF-8 becomes U+FFFD here, and only here.

mod agents;
mod attributes;
mod container;
#[cfg(test)]
pub(crate) mod fixture;
mod id;
mod image;
mod interpreter;
mod link;
mod loss;
pub mod model;
mod name;
#[cfg(test)]
mod random_streams;
mod resource_attributes;
mod service;
mod status;
mod time;

use agentsight_ebpf::ProcessKey;

use id::SpanIds;
pub use id::root_span;
use loss::Losses;
use model::{Signal, Span};
use service::Services;

use crate::graph::{Activity, Image, ImageId, Origin};
use crate::session::Session;

/// Says in OpenTelemetry what the graph found, one activity after the other.
pub struct Spans {
    ids: SpanIds,
    session_id: String,
    target_names: bool,
    services: Services,
    losses: Losses,
    root: Option<ProcessKey>,
}

impl Spans {
    /// A translation that has said nothing yet.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self {
            ids: SpanIds::new(session),
            session_id: session.id.to_string(),
            target_names: session.options.target_names,
            services: Services::new(session),
            losses: Losses::default(),
            root: None,
        }
    }

    /// Append what OpenTelemetry should hear of one activity to `out`.
    pub fn translate(&mut self, activity: &Activity, out: &mut Vec<Signal>) {
        let signal = match activity {
            Activity::ImageBegan(image) => return self.learn_root(image),
            Activity::ImageEnded(ended) => {
                let span = image::whole(self, ended);
                self.last_of(span, ended.image.id)
            }
            Activity::ImagePromoted(promoted) => {
                let span = image::promoted(self, promoted);
                self.sent(span, promoted.image.id)
            }
            Activity::ImageExited(ended) => {
                let span = image::exit(self, ended);
                self.last_of(span, ended.image.id)
            }
            Activity::Lost(lost) => self.lost(lost),
        };
        out.push(signal);
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
        Signal::Span(Box::new(span))
    }

    fn last_of(&mut self, span: Span, image: ImageId) -> Signal {
        let signal = self.sent(span, image);
        self.losses.note_end(image);
        signal
    }
}
