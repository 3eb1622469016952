//! Activities as OpenTelemetry spans and log records.

pub mod model;
