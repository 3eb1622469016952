//! OpenTelemetry on the wire: signals as OTLP messages, where to send them, and the sender behind the store's cursor.
//!
//! In the order of use: [`encode`] makes the messages that the store keeps, [`settings`] says where they
//! go, [`request`] groups stored rows, [`client`] sends a request over gRPC or HTTP and says
//! what became of it ([`outcome`]), [`sender`] does so until nothing is left. [`json`] writes lines for `--output`.

mod backoff;
pub mod client;
pub mod decode;
pub mod encode;
pub(crate) mod grpc;
mod grpc_only;
pub(crate) mod http;
mod http_answer;
pub mod json;
pub mod outcome;
pub mod request;
pub mod sender;
pub mod settings;

pub use backoff::Backoff;
