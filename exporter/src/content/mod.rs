//! The bytes that went in and out: put together from chunks, redacted, and found again where they came out.
//!
//! In the order of the data: [`Assembly`] makes [`Content`] of chunks, with every hole marked; [`Content::redact`] makes
//! [`Redacted`], the only form that anything else accepts; [`Matcher`] says which inputs came out again in an output,
//! with the evidence. Pure: no clock, no I/O, no threads; the same calls give the same answers. Knows nothing of the
//! kernel beyond what events say, of spans or of the store: moments, objects and channels are numbers that the caller gives.

mod assignment;
mod event;
mod evidence;
mod fingerprint;
mod hash;
mod index;
mod matcher;
mod normal;
mod numbered;
mod pair;
mod rarity;
mod redaction;
mod run;
mod sent;
mod stream;
mod token;
mod unescape;

pub use event::{MalformedContent, Of};
pub use evidence::{Evidence, Flow, Likeness};
pub use hash::ContentHash;
pub use index::{Moment, ObjectId, Origin, Source, SourceId};
pub use matcher::{ChannelId, Matcher, Nearness, Sink};
pub use normal::{Form, Normal};
pub use rarity::Seed;
pub use redaction::Redacted;
pub use stream::{Assembly, Chunk, ChunkError, Content, Ending, Hole, Missing, Order, Run};
