//! Events from the kernel side, made fit to keep: told which container they are of, payload put together, and redacted, as
//! the last step.

pub mod container;
pub mod contents;
pub mod redact;
