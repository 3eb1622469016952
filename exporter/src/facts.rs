//! What questions ask about a span, read off its attributes: the one place that knows where each fact stands.
//!
//! The store keeps these as columns, and a query checks them on spans of whatever source. Foreign spans are welcome: a
//! fact of the wrong type is an absent one.

use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, object_type};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

/// The facts of one span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// `agentsight.object.type`.
    pub object: Option<&'a str>,
    /// `agentsight.action`.
    pub action: Option<&'a str>,
    /// Process id on the host.
    pub pid: Option<i64>,
    /// Base name of the executable.
    pub executable: Option<&'a str>,
    /// The file's path; of an image its executable's, of a unix socket its own.
    pub path: Option<&'a str>,
    /// Name or address of the other end as people know it; of a look-up the name asked for.
    pub host: Option<&'a str>,
    /// Address of the other end.
    pub peer: Option<&'a str>,
    /// Port of the other end.
    pub port: Option<i64>,
    /// Bytes moved.
    pub bytes: Option<i64>,
    /// The session, 32 hex digits.
    pub session: Option<&'a str>,
    /// Status ERROR.
    pub failed: bool,
    /// It says that something was lost.
    pub lossy: bool,
}

/// Beginning of the names that say what was lost.
pub const LOSS_PREFIX: &str = "agentsight.loss.";

impl<'a> Facts<'a> {
    /// Of this span.
    #[must_use]
    pub fn of(span: &'a Span) -> Self {
        let mut facts = Self { failed: failed(span), ..Self::default() };
        let (mut file, mut program, mut server, mut client, mut question) = (None, None, None, None, None);
        let (mut server_port, mut client_port) = (None, None);
        for KeyValue { key, value, .. } in &span.attributes {
            let Some(value) = value else { continue };
            match key.as_str() {
                key if key == semconv::AGENTSIGHT_OBJECT_TYPE.as_str() => facts.object = text(value),
                key if key == semconv::AGENTSIGHT_ACTION.as_str() => facts.action = text(value),
                key if key == semconv::AGENTSIGHT_SESSION_ID.as_str() => facts.session = text(value),
                key if key == semconv::PROCESS_PID.as_str() => facts.pid = int(value),
                key if key == semconv::PROCESS_EXECUTABLE_NAME.as_str() => facts.executable = text(value),
                key if key == semconv::PROCESS_EXECUTABLE_PATH.as_str() => program = text(value),
                key if key == semconv::FILE_PATH.as_str() => file = text(value),
                key if key == semconv::SERVER_ADDRESS.as_str() => server = text(value),
                key if key == semconv::SERVER_PORT.as_str() => server_port = int(value),
                key if key == semconv::CLIENT_ADDRESS.as_str() => client = text(value),
                key if key == semconv::CLIENT_PORT.as_str() => client_port = int(value),
                key if key == semconv::NETWORK_PEER_ADDRESS.as_str() => facts.peer = text(value),
                key if key == semconv::NETWORK_PEER_PORT.as_str() => facts.port = int(value),
                key if key == semconv::DNS_QUESTION_NAME.as_str() => question = text(value),
                key if key == semconv::AGENTSIGHT_IO_BYTES.as_str() => facts.bytes = int(value),
                key if key.starts_with(LOSS_PREFIX) => facts.lossy = true,
                _ => {}
            }
        }
        let is_accepted = facts.action == Some(action::ACCEPT);
        facts.path = match facts.object {
            Some(object_type::PROCESS) => program,
            Some(object_type::UNIX) => file.or(server),
            _ => file,
        };
        facts.host = question.or(if is_accepted { client } else { server });
        facts.port = facts.port.or(if is_accepted { client_port } else { server_port });
        facts
    }
}

/// The value of an attribute, by its name.
#[must_use]
pub fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a AnyValue> {
    span.attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()
}

/// `service.name`.
#[must_use]
pub fn service(resource: &Resource) -> Option<&str> {
    let is_name = |attribute: &&KeyValue| attribute.key == semconv::SERVICE_NAME.as_str();
    resource.attributes.iter().find(is_name)?.value.as_ref().and_then(text)
}

/// A string.
#[must_use]
pub fn text(value: &AnyValue) -> Option<&str> {
    if let Some(any_value::Value::StringValue(text)) = &value.value { Some(text) } else { None }
}

/// A whole number.
#[must_use]
pub fn int(value: &AnyValue) -> Option<i64> {
    if let Some(any_value::Value::IntValue(number)) = &value.value { Some(*number) } else { None }
}

/// A number.
#[must_use]
pub fn number(value: &AnyValue) -> Option<f64> {
    match &value.value {
        Some(any_value::Value::DoubleValue(number)) => Some(*number),
        // No number that is a confidence or a duration in seconds is so large that this loses anything.
        #[expect(clippy::cast_precision_loss)]
        Some(any_value::Value::IntValue(number)) => Some(*number as f64),
        _ => None,
    }
}

/// True, said so.
#[must_use]
pub fn is_true(span: &Span, name: semconv::Name) -> bool {
    let value = attribute(span, name.as_str()).and_then(|value| value.value.as_ref());
    matches!(value, Some(any_value::Value::BoolValue(true)))
}

/// Status ERROR.
#[must_use]
pub fn failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(attributes: &[(&str, any_value::Value)]) -> Span {
        let attributes = attributes.iter().map(|(key, value)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue { value: Some(value.clone()) }),
            ..KeyValue::default()
        });
        Span { attributes: attributes.collect(), ..Span::default() }
    }

    fn says(text: &str) -> any_value::Value {
        any_value::Value::StringValue(text.to_owned())
    }

    #[test]
    fn the_other_end_of_an_accepted_connection_is_the_client() {
        let ends = [
            ("server.address", says("0.0.0.0")),
            ("client.address", says("10.0.0.7")),
            ("client.port", any_value::Value::IntValue(4711)),
            ("server.port", any_value::Value::IntValue(80)),
        ];
        let accepted = span(&[&ends[..], &[("agentsight.action", says("accept"))]].concat());
        let connected = span(&[&ends[..], &[("agentsight.action", says("connect"))]].concat());
        assert_eq!((Facts::of(&accepted).host, Facts::of(&accepted).port), (Some("10.0.0.7"), Some(4711)));
        assert_eq!((Facts::of(&connected).host, Facts::of(&connected).port), (Some("0.0.0.0"), Some(80)));
    }

    #[test]
    fn an_executable_is_the_path_of_an_image_and_not_of_what_it_reads() {
        let program = ("process.executable.path", says("/usr/bin/cat"));
        let image = span(&[("agentsight.object.type", says("process")), program.clone()]);
        let burst = span(&[("agentsight.object.type", says("file")), program, ("file.path", says("/etc/passwd"))]);
        assert_eq!(Facts::of(&image).path, Some("/usr/bin/cat"));
        assert_eq!(Facts::of(&burst).path, Some("/etc/passwd"));
    }

    #[test]
    fn a_fact_of_the_wrong_type_is_absent() {
        let odd = span(&[("process.pid", says("4711")), ("file.path", any_value::Value::IntValue(3))]);
        assert_eq!((Facts::of(&odd).pid, Facts::of(&odd).path), (None, None));
    }
}
