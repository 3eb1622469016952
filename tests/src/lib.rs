//! What the end-to-end tests stand on: the built program, real backends, an independent witness, and traces as text.
//!
//! Nothing here links AgentSight's own code (its registry of names aside): the tests see what a user sees.
//! A requirement that this machine lacks fails the test and says how to get it; nothing is skipped silently.

pub mod agentsight;
pub mod asked;
pub mod backend;
pub mod cgroup;
pub mod collector;
pub mod comparison;
pub mod conversation;
pub mod daemon;
pub mod deadline;
pub mod debian;
pub mod difference;
pub mod directory;
pub mod executable;
pub mod flow;
pub mod held;
pub mod http;
pub mod jaeger;
pub mod kernel;
pub mod mood;
pub mod otelcol;
pub mod process_tree;
pub mod programs;
pub mod random;
pub mod receiver;
pub mod recordings;
pub mod requirement;
pub mod run;
pub mod scenario;
pub mod server;
pub mod store;
pub mod strace;
pub mod sudoer;
pub mod tempo;
pub mod terminal;
pub mod trace;
pub mod traceql;
pub mod unprivileged;
