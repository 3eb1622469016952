//! What a deed was done to, by the name that people use.

use std::net::IpAddr;

use agentsight_semconv as semconv;
use agentsight_semconv::value::action;

use super::attribute::{int, text};
use super::deed::Deeds;
use crate::spans::model::Span;

/// `config.json`, `pipe`, `api.example.com:443`; of a burst on a connection that of the connection. Not escaped.
pub(super) fn target<'a>(deeds: &Deeds<'a>, span: &'a Span) -> String {
    let span = deeds.connection_of(span);
    let of = |name| text(&span.attributes, name);
    if let Some(path) = of(semconv::FILE_PATH) {
        return base(path).to_owned();
    }
    if let Some(name) = of(semconv::DNS_QUESTION_NAME) {
        return name.to_owned();
    }
    let number = |name| int(&span.attributes, name);
    let accepted = of(semconv::AGENTSIGHT_ACTION) == Some(action::ACCEPT);
    let server = || of(semconv::SERVER_ADDRESS).map(|host| with_port(host, number(semconv::SERVER_PORT)));
    let client = || of(semconv::CLIENT_ADDRESS).map(|host| with_port(host, number(semconv::CLIENT_PORT)));
    let peer = || of(semconv::NETWORK_PEER_ADDRESS).map(|host| with_port(host, number(semconv::NETWORK_PEER_PORT)));
    let found = if accepted { client() } else { server() };
    found.or_else(peer).unwrap_or_else(|| of(semconv::AGENTSIGHT_OBJECT_TYPE).unwrap_or("something").to_owned())
}

/// What follows the last slash, or all where that is nothing.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

fn with_port(host: &str, port: Option<i64>) -> String {
    match (port, host.parse::<IpAddr>()) {
        (Some(port), Ok(IpAddr::V6(_))) => format!("[{host}]:{port}"),
        (Some(port), _) => format!("{host}:{port}"),
        (None, _) => base(host).to_owned(),
    }
}
