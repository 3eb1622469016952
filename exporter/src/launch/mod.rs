//! `run`, `record` and `attach`: the stub that starts the command and stays out of its way.
//!
//! Three processes (ARCHITECTURE.md, "Processes of run"): this stub, the command, which is its child, and the
//! collector in a session of its own. The stub keeps the caller's rights and environment, and must survive
//! whatever becomes of the collector. `unsafe` of the launcher is in `held_child.rs` and `dispositions.rs` alone.

mod attach;

mod collector_process;
mod command;
mod dispositions;
mod ear;
mod held_child;
mod outputs;
mod run;
mod signals;
mod wait;

pub use attach::{attach, detach};
pub use command::CommandError;
pub use outputs::OutputError;
pub use run::{LaunchError, TracedBy, Tracing, run};
