//! Events from the kernel side, made fit to keep: told which container they are of, and redacted, as the last step.

pub mod container;
pub mod redact;
