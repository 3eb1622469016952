//! Where each signal goes and how: the standard `OTEL_EXPORTER_OTLP_*` variables and our flags, checked once.
//!
//! Parsed by the process that the user started, with the user's rights: so certificates and keys are
//! held as contents, not paths. The result travels to the collector, and into the store, as JSON.

mod endpoint;
mod error;
mod headers;
mod source;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use error::SettingsError;
pub use headers::Headers;
pub use tls::{Pem, Tls};

/// A destination for each signal that is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// For spans.
    pub traces: Option<Endpoint>,
    /// For log records.
    pub logs: Option<Endpoint>,
    /// For AgentSight's own metrics.
    pub metrics: Option<Endpoint>,
}

/// How to reach a backend for one signal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `http://` or `https://`; over HTTP with the signal's path, over gRPC without any. Its query may be a secret:
    /// print [`shown_url`](Self::shown_url).
    pub url: String,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Sent with each request; may hold secrets.
    pub headers: Headers,
    /// For one request, milliseconds.
    pub timeout_millis: u64,
    /// Of requests.
    pub compression: Compression,
    /// Certificates, where the URL is `https`.
    pub tls: Tls,
}

/// `OTEL_EXPORTER_OTLP_PROTOCOL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// `grpc`.
    #[serde(rename = "grpc")]
    Grpc,
    /// `http/protobuf`.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// `http/json`.
    #[serde(rename = "http/json")]
    HttpJson,
}

/// `OTEL_EXPORTER_OTLP_COMPRESSION`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// What the command line says; each wins over every variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--endpoint`: a base URL, as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `--protocol`.
    pub protocol: Option<String>,
    /// `--header NAME=VALUE`, as often as wanted; in place of the variable's.
    pub headers: Vec<String>,
}

/// The three signals, as the variables name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalName {
    Traces,
    Logs,
    Metrics,
}

impl Settings {
    /// Reads the variables and flags. `read_file` opens certificates and keys.
    ///
    /// # Errors
    /// A value that cannot be meant; the error names its variable and what is expected.
    pub fn parse(
        environment: &BTreeMap<String, String>,
        flags: &Flags,
        read_file: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, SettingsError> {
        endpoint::check_flags(flags)?;
        let parse = |signal| endpoint::parse(signal, environment, flags, &read_file);
        Ok(Self {
            traces: parse(SignalName::Traces)?,
            logs: parse(SignalName::Logs)?,
            metrics: parse(SignalName::Metrics)?,
        })
    }
}

impl Endpoint {
    /// The URL without its query, in which some vendors want their key.
    #[must_use]
    pub fn shown_url(&self) -> &str {
        self.url.split_once('?').map_or(&self.url, |(shown, _)| shown)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, protocol, headers, timeout_millis, compression, tls } = self;
        f.debug_struct("Endpoint")
            .field("url", &self.shown_url())
            .field("protocol", protocol)
            .field("headers", headers)
            .field("timeout_millis", timeout_millis)
            .field("compression", compression)
            .field("tls", tls)
            .finish()
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
            Self::HttpJson => "http/json",
        })
    }
}

impl SignalName {
    /// As in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
    const fn in_variables(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Logs => "LOGS",
            Self::Metrics => "METRICS",
        }
    }

    /// As in `/v1/traces`.
    const fn in_paths(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }
}

#[cfg(test)]
mod tests;
