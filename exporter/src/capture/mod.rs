//! Events from the kernel side, made fit to keep: redacted, as the last step of capture.

pub mod redact;
