//! AgentSight: a flight recorder for AI agents that speaks OpenTelemetry.
//!
//! The modules in the order of the data: [`capture`] takes events from the kernel and redacts them,
//! [`recording`] keeps or repeats them, [`graph`] says what they mean, [`spans`] says it in
//! OpenTelemetry, [`store`] keeps the spans, [`otlp`] sends them, [`terminal`] shows them.
//! [`collector`] runs the whole line; [`launch`] starts the command that is traced.
//! `graph` and `spans` are pure: no clock, no I/O, no threads.

pub mod capture;
pub mod graph;
pub mod otlp;
pub mod recording;
pub mod session;
pub mod spans;
pub mod store;
pub mod telemetry;
pub mod terminal;
