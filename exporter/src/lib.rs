//! AgentSight: a flight recorder for AI agents that speaks OpenTelemetry.
//!
//! The modules in the order of the data: [`capture`] redacts what the kernel said, [`recording`] keeps
//! or repeats it, [`graph`] says what it means, [`spans`] says that in OpenTelemetry ([`pipeline`] joins the
//! two), [`store`] keeps the spans, [`otlp`] sends them, [`terminal`] shows them.
//! `collector` runs the whole line on a live kernel; `launch` starts the command that is traced;
//! `doctor` says what the machine allows.
//! [`content`] compares what went in with what came out; the graph asks it where contents are captured.
//! `graph`, `spans` and `content` are pure: no clock, no I/O, no threads.

pub mod answer;
pub mod caller;
pub mod capture;
pub mod channel;
#[cfg(feature = "live")]
pub mod collector;
pub mod content;
#[cfg(feature = "live")]
pub mod daemon;
pub mod daemon_socket;
#[cfg(feature = "live")]
pub mod doctor;
mod duration;
pub mod facts;
pub mod graph;
pub mod inquiry;
#[cfg(feature = "live")]
pub mod launch;
pub mod otlp;
#[cfg(feature = "live")]
pub mod ownership;
pub mod pipeline;
pub mod private_file;
pub mod query;
pub mod recording;
pub mod serve;
pub mod session;
pub mod spans;
pub mod store;
pub mod telemetry;
pub mod terminal;
mod usage;
