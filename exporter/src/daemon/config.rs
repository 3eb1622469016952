//! The configuration file: what it may say, as types. Their comments are what editors show, by the schema.
//!
//! One order everywhere: flags, then the environment, then this file, then what is built in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, schema_for};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::scalar::{End, Glob, Moment, Path, Several, Url, User};

/// The configuration of AgentSight's daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "settings by name, such as `rules:`")]
#[schemars(title = "agentsight.yaml")]
pub struct Config {
    /// Where `agentsight run` finds the daemon. Default: /run/agentsight/daemon.sock.
    pub socket: Option<PathBuf>,
    /// Where the sessions of rules are sent. Without an endpoint they are kept in the store alone.
    pub export: Export,
    /// service.name of processes whose environment names none.
    pub service: Option<String>,
    /// Names of spans. Default: target.
    pub names: Option<Names>,
    /// Whether a TRACEPARENT that a program sets for its children is followed. Default: true.
    pub adopt_traceparent: Option<bool>,
    /// A process that lives longer is sent while it still runs. Default: 10s.
    pub live_after: Option<Moment>,
    /// Whether AgentSight's own metrics and traces are sent too. Default: true.
    pub self_telemetry: Option<bool>,
    /// Size of the kernel's ring in bytes. Default: 8388608.
    pub ring_bytes: Option<u32>,
    /// Type information of the running kernel, where it has no /sys/kernel/btf/vmlinux.
    pub btf: Option<PathBuf>,
    /// What of payload may be captured. Default: nothing.
    pub capture: Option<Capture>,
    /// Which processes get a session of their own; the first rule that a process matches counts.
    #[serde(deserialize_with = "rules_that_ask")]
    pub rules: Vec<Rule>,
}

/// Where spans and log records go, as the standard OTEL_EXPORTER_OTLP_* variables say it; those win over this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "settings by name, such as `endpoint: http://localhost:4317`")]
pub struct Export {
    /// An OTLP endpoint, such as http://localhost:4317.
    pub endpoint: Option<Url>,
    /// Default: grpc for port 4317, else http/protobuf.
    pub protocol: Option<Protocol>,
    /// Sent with each request.
    pub headers: BTreeMap<String, String>,
    /// For one request. Default: 10s.
    pub timeout: Option<Moment>,
    /// Of requests. Default: none.
    pub compression: Option<Compression>,
    /// A PEM file with the certificates that the endpoint is trusted by.
    pub certificate: Option<PathBuf>,
    /// A PEM file with our own certificate.
    pub client_certificate: Option<PathBuf>,
    /// A PEM file with the key of our own certificate.
    pub client_key: Option<PathBuf>,
}

/// What is spoken at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Protocol {
    /// OTLP over gRPC.
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP over HTTP, as protobuf.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// OTLP over HTTP, as JSON.
    #[serde(rename = "http/json")]
    HttpJson,
}

/// Of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As they are.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// What callers may ask for, and what the sessions of rules with `capture: true` have captured. Secrets are redacted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "settings by name, such as `allow: \"*.yaml\"`")]
pub struct Capture {
    /// Files by patterns of their paths: "*.yaml", "/srv/agents/**".
    pub allow: Several<Path>,
    /// Files that are not, whatever anybody asks for.
    pub deny: Several<Path>,
    /// Either end of connections: "api.internal:8080", "10.0.0.0/8", "*:5432".
    pub net: Several<End>,
    /// Streams that have no name.
    pub streams: Several<Stream>,
    /// Whether the beginning of what is kept stands on the spans of rules' sessions too. Default: false.
    pub on_spans: Option<bool>,
    /// How much is captured.
    pub budgets: Budgets,
    /// How long it is kept.
    pub keep: Keep,
}

/// How long captured contents are kept in the store; their spans stay. A `run` without the daemon has the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Since their span's end. Default: 7d.
    pub age: Option<Moment>,
    /// Packed, of all sessions; the oldest go first. Default: 1073741824.
    pub bytes: Option<u64>,
}

/// A kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Pipes, with a name or without.
    Pipe,
    /// Unix sockets.
    Unix,
    /// Terminals.
    Tty,
}

/// How many bytes of payload are kept; what is beyond is said to be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "settings by name, such as `burst_bytes: 65536`")]
pub struct Budgets {
    /// Of one burst of calls. Default: 65536.
    pub burst_bytes: Option<u32>,
    /// Of one session. Default: 16777216.
    pub session_bytes: Option<u64>,
    /// Of all sessions in a minute. Default: 1073741824.
    pub bytes_per_minute: Option<u64>,
    /// Size of the kernel's ring for payload. Default: 16777216.
    pub ring_bytes: Option<u32>,
}

/// Names of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// With what the program works on (`python3 agent.py`).
    Target,
    /// The executable alone (`python3`), for few different names.
    Plain,
}

/// Processes that get a session of their own. All that is given must match; of a list, one. In patterns `*` is any text,
/// slashes too, and `?` any character.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct Rule {
    /// What people call it.
    pub name: Option<String>,
    /// Of the path of the executable: "*/claude".
    pub executable: Several<Glob>,
    /// Of the arguments, joined by spaces: "* agent.py*".
    pub command_line: Several<Glob>,
    /// Of the path of the control group: "/system.slice/agents.service".
    pub cgroup: Several<Glob>,
    /// Of the container that the process runs in.
    pub container: Container,
    /// The real user, by name or number.
    pub user: Several<User>,
    /// service.name of its sessions' processes whose environment names none.
    pub service: Option<String>,
    /// Whether all that `capture` allows is captured of its sessions. Default: false.
    pub capture: Option<bool>,
}

/// A container; a process outside of any matches none of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "conditions by name, such as `id: \"3f2a*\"`")]
pub struct Container {
    /// Its id, 64 hex digits: "3f2a*".
    pub id: Several<Glob>,
    /// Its name.
    pub name: Several<Glob>,
    /// The name of its image: "registry.example/agents/*".
    pub image: Several<Glob>,
}

/// A rule without a condition is a mistake: it would take the whole host for one agent.
fn rules_that_ask<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rule>, D::Error> {
    Ok(Vec::<Asking>::deserialize(deserializer)?.into_iter().map(|asking| asking.0).collect())
}

/// A rule that was checked while the parser still knew where it stands.
struct Asking(Rule);

impl<'de> Deserialize<'de> for Asking {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AskingVisitor)
    }
}

struct AskingVisitor;

impl<'de> Visitor<'de> for AskingVisitor {
    type Value = Asking;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Asking, A::Error> {
        let rule = Rule::deserialize(MapAccessDeserializer::new(map))?;
        let Rule { name: _, service: _, capture: _, executable, command_line, cgroup, container, user } = &rule;
        let Container { id, name, image } = container;
        let globs = [executable, command_line, cgroup, id, name, image];
        if user.0.is_empty() && globs.iter().all(|several| several.0.is_empty()) {
            return Err(A::Error::custom(
                "this rule asks for nothing; expected one of `executable`, `command_line`, `cgroup`, `container`, `user`",
            ));
        }
        Ok(Asking(rule))
    }
}

/// The JSON schema of the file, for editors.
#[must_use]
pub fn schema() -> String {
    let schema = schema_for!(Config);
    serde_json::to_string_pretty(&schema).map(|text| text + "\n").unwrap_or_default()
}
