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
mod continuation;
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
use model::{Draft, Signal, Span};
use service::Services;

use crate::graph::{Activity, Ended, Ending, Exited, Image, ImageId, Origin, Part, Place};
use crate::session::{Session, SpanRef};

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
        match activity {
            Activity::ImageBegan(image) => {
                self.learn_root(image);
                let span = image::whole(self, image, image.start, Ending::Incomplete);
                out.push(self.draft(image, Some(span)));
            }
            Activity::ImageEnded(ended) => {
                let Ended { image, at, ending, account: _ } = &**ended;
                let span = image::whole(self, image, *at, *ending);
                out.extend([self.last_of(span, image.id), self.draft(image, None)]);
            }
            Activity::ImagePromoted(promoted) => {
                let span = image::promoted(self, promoted);
                let image = &promoted.image;
                let exit = self.unknown_exit(image, &promoted.newest);
                out.extend([self.sent(span, image.id), self.draft(image, Some(exit))]);
            }
            Activity::ImageContinued(continued) => {
                let span = continuation::continuation(self, continued);
                let image = &continued.image;
                out.push(self.sent(span, image.id));
                if continued.exits_here {
                    let exit = self.unknown_exit(image, &continued.place);
                    out.push(self.draft(image, Some(exit)));
                }
            }
            Activity::ImageExited(exited) => {
                let Exited { image, at, ending, account: _, under } = &**exited;
                let span = image::exit(self, image, under, *at, *ending);
                out.extend([self.last_of(span, image.id), self.draft(image, None)]);
            }
            Activity::Transferred(_)
            | Activity::ConnectionBegan(_)
            | Activity::ConnectionPromoted(_)
            | Activity::ConnectionEnded(_)
            | Activity::Resolved(_) => {}
            Activity::Lost(lost) => {
                let log = self.lost(lost);
                out.push(log);
            }
        }
    }

    /// The `exit` of an image that nothing more is heard of.
    fn unknown_exit(&mut self, image: &Image, under: &Place) -> Span {
        image::exit(self, image, under, under.start, Ending::Incomplete)
    }

    fn draft(&self, image: &Image, span: Option<Span>) -> Signal {
        let span_id = self.ids.image(image.id, Part::Original, image.trace.segment);
        Signal::Draft(Box::new(Draft { of: SpanRef { trace_id: image.trace.id, span_id }, span }))
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
