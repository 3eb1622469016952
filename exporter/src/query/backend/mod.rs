//! Backends as sources: each knows how to find traces and how to read one; the rest is the same for all.

mod client;
mod jaeger;
mod tempo;
mod traceql;
mod traces;

pub use jaeger::Jaeger;
pub use tempo::Tempo;
pub use traces::{Backend, TracesOf};
