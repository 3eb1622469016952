//! Whether spans can be sent.

use super::Question;
use crate::doctor::facts::{Backend, Facts};
use crate::doctor::report::{Check, Group, Need};
use crate::otlp::outcome::Outcome;
use crate::otlp::settings::Protocol;

const WAIT: &str = "Nothing is lost meanwhile: spans wait in the store and are sent when it takes them.";

pub(super) fn traces(facts: &Facts) -> Check {
    let check = Question { id: "backend.traces", group: Group::Backend, title: "traces", need: Need::Feature };
    match &facts.backend {
        Backend::Nowhere => check.ok(
            "no endpoint is set",
            "Nothing is sent. --endpoint http://localhost:4317, or OTEL_EXPORTER_OTLP_ENDPOINT, names one.",
        ),
        Backend::BadSettings(reason) => Question { need: Need::Needed, ..check }.broken(
            reason,
            "No command is started with settings that cannot be meant.",
            "correct the variable or flag, or unset it",
        ),
        Backend::NoClient(reason) => Question { need: Need::Needed, ..check }.broken(
            reason,
            "No command is started with settings that cannot be used.",
            "correct OTEL_EXPORTER_OTLP_ENDPOINT, or the certificates that it is used with",
        ),
        Backend::Asked { url, protocol, tls, outcome, took } => {
            let there = format!("{url} ({protocol})");
            match outcome {
                Outcome::Delivered { message, .. } if message.is_empty() => {
                    check.ok(format!("{there} answered in {} ms", took.as_millis()), "It takes spans.")
                }
                Outcome::Delivered { message, .. } => {
                    check.ok(format!("{there} takes spans and says: {message}"), "It takes spans.")
                }
                Outcome::Retry { reason, .. } => {
                    check.broken(format!("{there}: {reason}"), WAIT, mend_connection(reason, *tls, *protocol))
                }
                Outcome::NotTaken { reason } => check.broken(
                    format!("{there}: {reason}"),
                    format!("This is no OTLP receiver, or it takes no spans. {WAIT}"),
                    other_port(*protocol),
                ),
                Outcome::Locked { reason } => check.broken(
                    format!("{there}: {reason}"),
                    format!("The backend wants to know who sends. {WAIT}"),
                    "export OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer TOKEN'",
                ),
                Outcome::Refused { reason } | Outcome::TooLarge { reason } => check.broken(
                    format!("{there}: {reason}"),
                    "The backend refuses even a request without spans.",
                    other_port(*protocol),
                ),
            }
        }
    }
}

/// By what the libraries say when a connection fails; without a match, by the commonest reason.
fn mend_connection(reason: &str, tls: bool, protocol: Protocol) -> String {
    let reason = reason.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["unknownissuer", "unknown issuer", "self-signed", "self signed", "caused by invalid ca"]) {
        return "export OTEL_EXPORTER_OTLP_CERTIFICATE=FILE, with the authority's certificate".to_owned();
    }
    if says(&["certificaterequired", "certificate required", "handshakefailure", "handshake failure"]) {
        return "export OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=FILE OTEL_EXPORTER_OTLP_CLIENT_KEY=FILE".to_owned();
    }
    if says(&["certificate"]) {
        return "name the host as its certificate does, or have the certificate renewed".to_owned();
    }
    if tls && says(&["corrupt message", "invalidcontenttype", "handshake eof", "wrong version"]) {
        return "the port speaks no TLS: write http:// in place of https://".to_owned();
    }
    if says(&["dns", "lookup", "resolve"]) {
        return "check the host's name in the endpoint".to_owned();
    }
    if says(&[
        "http2",
        "h2 protocol",
        "frame",
        "http version",
        "grpc port",
        "connection closed before",
        "broken pipe",
        "reset",
    ]) {
        return other_port(protocol);
    }
    if says(&["no answer within", "timed out", "timeout"]) {
        return "see whether a firewall stands between, and whether the backend is well".to_owned();
    }
    "start the backend, or name another: --endpoint URL".to_owned()
}

fn other_port(protocol: Protocol) -> String {
    match protocol {
        Protocol::Grpc => "name its gRPC port (4317 by custom), or say --protocol http/protobuf",
        Protocol::HttpProtobuf | Protocol::HttpJson => "name its HTTP port (4318 by custom), or say --protocol grpc",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::report::{Grade, Status};
    use crate::doctor::verdicts::fixture::well;

    fn asked(url: &str, outcome: Outcome) -> Check {
        let mut facts = well();
        facts.backend = Backend::Asked {
            url: url.to_owned(),
            protocol: Protocol::Grpc,
            tls: url.starts_with("https:"),
            outcome,
            took: Duration::from_millis(3),
        };
        traces(&facts)
    }

    fn retry(url: &str, reason: &str) -> String {
        let check = asked(url, Outcome::Retry { after: None, reason: reason.to_owned() });
        assert_eq!((check.status, check.grade()), (Status::Broken, Grade::Limited), "tracing works without a backend");
        check.mend.unwrap()
    }

    #[test]
    fn no_endpoint_is_well_and_settings_that_stop_a_run_are_broken() {
        let mut facts = well();
        assert_eq!(traces(&facts).status, Status::Ok);
        facts.backend = Backend::BadSettings("OTEL_EXPORTER_OTLP_PROTOCOL=\"pigeon\"".to_owned());
        assert_eq!(traces(&facts).grade(), Grade::Broken);
    }

    #[test]
    fn each_way_to_fail_has_its_own_mend() {
        assert!(
            retry("http://h:4317", "tcp connect error: Connection refused (os error 111)")
                .contains("start the backend")
        );
        assert!(retry("https://h:4317", "invalid peer certificate: UnknownIssuer").contains("OTLP_CERTIFICATE=FILE"));
        assert!(retry("https://h:4317", "received fatal alert: CertificateRequired").contains("CLIENT_CERTIFICATE"));
        assert!(retry("https://h:4317", "received corrupt message of type InvalidContentType").contains("http://"));
        assert!(retry("http://h:4317", "dns error: failed to lookup address information").contains("name"));
        assert!(retry("http://h:4317", "no answer within 5s").contains("firewall"));
    }

    #[test]
    fn a_backend_that_wants_credentials_is_told_from_one_that_is_none() {
        let refused = asked("http://h:4317", Outcome::Locked { reason: "Unauthenticated: no token".to_owned() });
        assert!(refused.mend.unwrap().contains("OTEL_EXPORTER_OTLP_HEADERS"));
        let web = asked("http://h:80", Outcome::NotTaken { reason: "a web page answered".to_owned() });
        assert!(web.mend.unwrap().contains("4317"));
    }
}
