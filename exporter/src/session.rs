//! What holds for a whole session: everything that the pure stages need to know beside the events.
//!
//! A recording opens with it, so a replay has the same ids and the same choices as the live run.

use std::collections::BTreeMap;
use std::fmt;

use opentelemetry::trace::{SpanId, TraceId};
use serde::{Deserialize, Serialize};

/// The identity and the settings of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Random, 128 bits.
    pub id: SessionId,
    /// The trace that the session's first spans go to, 32 lower-case hex digits. The caller's own trace, where its `TRACEPARENT` was adopted.
    #[serde(with = "hex_trace_id")]
    pub trace_id: TraceId,
    /// Secret key of the hash that makes span ids: without it nobody can foretell or forge one.
    pub id_key: [u8; 16],
    /// `/proc/sys/kernel/random/boot_id`: process identities hold within one boot only.
    pub boot_id: String,
    /// `host.*` and `os.*` resource attributes.
    pub host: BTreeMap<String, String>,
    /// The trace context in the environment that `run` was called with.
    pub caller: CallerContext,
    /// What the user asked for.
    pub options: SessionOptions,
}

/// Trace context of the process that called `agentsight run`; each as in its environment, unparsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerContext {
    /// `TRACEPARENT`.
    pub traceparent: Option<String>,
    /// `TRACESTATE`.
    pub tracestate: Option<String>,
}

/// The options that change what the spans look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOptions {
    /// `--service`: `service.name` of processes whose environment names none.
    pub service: Option<String>,
    /// Span names with the target's base name (`python3 agent.py`), not the bare action or executable.
    pub target_names: bool,
    /// Adopt `TRACEPARENT` where it changes; otherwise it is ignored.
    pub adopt: bool,
    /// Set `TRACEPARENT` for the command to the root image's span.
    pub set_traceparent: bool,
    /// An image that lives longer than this is promoted: its span is sent while it runs. Nanoseconds.
    pub live_after_nanos: u64,
    /// How much goes into one trace before the session goes on in the next. Recordings that do not say have the default.
    #[serde(default)]
    pub segment: SegmentLimits,
    /// `--content-on-spans`: the beginning of what was captured stands on its span, redacted.
    #[serde(default)]
    pub content_on_spans: bool,
}

/// How much of a session one trace holds: what backends take, and people can look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentLimits {
    /// Spans.
    pub spans: u64,
    /// Bytes of encoded spans, by an estimate that is never too low.
    pub bytes: u64,
    /// Nanoseconds from a trace's first span on; holds for traces of our own only.
    pub age_nanos: u64,
}

impl Default for SegmentLimits {
    /// Jaeger's page draws 10,000 spans with trouble, Tempo refuses traces of 5 MB, and whoever looks for the last
    /// minutes should not get the day.
    fn default() -> Self {
        Self { spans: 8_000, bytes: 3_000_000, age_nanos: 15 * 60 * 1_000_000_000 }
    }
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            service: None,
            target_names: true,
            adopt: true,
            set_traceparent: true,
            live_after_nanos: 10_000_000_000,
            segment: SegmentLimits::default(),
            content_on_spans: false,
        }
    }
}

/// 128 random bits, written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(pub [u8; 16]);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SessionId {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id)?;
        Ok(Self(id))
    }
}

mod hex_trace_id {
    use opentelemetry::trace::TraceId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &TraceId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TraceId, D::Error> {
        let text = String::deserialize(deserializer)?;
        TraceId::from_hex(&text).map_err(D::Error::custom)
    }
}

/// A user of this machine, as the kernel numbers them outside of all user namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserId(pub u32);

impl UserId {
    /// Whom nothing is hidden from.
    pub const ROOT: Self = Self(0);
}

/// A span that exists somewhere: ours, or one that a program named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanRef {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id within the trace.
    pub span_id: SpanId,
}
