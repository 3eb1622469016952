//! What an HTTP answer's headers and body say. All of it is foreign: whatever cannot be read says nothing.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::Value;

/// A 2xx answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// From an OTLP receiver, or from one that says nothing.
    Told { rejected: u64, message: String },
    /// From some web server that answers 200 to anything.
    WebPage,
}

pub(super) fn read(content_type: &str, body: &[u8]) -> Answer {
    if is(content_type, "text/html") {
        return Answer::WebPage;
    }
    let told = if is(content_type, "application/json") { read_json(body) } else { read_protobuf(body) };
    match told {
        Some((rejected, message)) => Answer::Told { rejected, message },
        None => Answer::Told { rejected: 0, message: format!("an answer that cannot be read ({content_type:?})") },
    }
}

/// Seconds, or the date until which to wait.
pub(super) fn retry_after(text: &str) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let until = httpdate::parse_http_date(text).ok()?;
            Some(until.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

/// The message of a `google.rpc.Status`, or the text itself.
pub(super) fn error_text(content_type: &str, body: &[u8]) -> String {
    if is(content_type, "application/x-protobuf") {
        return tonic_types::pb::Status::decode(body).map(|status| status.message).unwrap_or_default();
    }
    if is(content_type, "application/json")
        && let Ok(Value::Object(status)) = serde_json::from_slice(body)
        && let Some(Value::String(message)) = status.get("message")
    {
        return message.clone();
    }
    if is(content_type, "text/html") { String::new() } else { String::from_utf8_lossy(body).into_owned() }
}

fn is(content_type: &str, wanted: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// The trace service's answer; the log service's has the same fields with the same numbers.
fn read_protobuf(body: &[u8]) -> Option<(u64, String)> {
    let answer = ExportTraceServiceResponse::decode(body).ok()?;
    let told = answer.partial_success.unwrap_or_default();
    Some((u64::try_from(told.rejected_spans).unwrap_or(0), told.error_message))
}

/// 64-bit integers are strings in OTLP/JSON, and some backends write numbers.
fn read_json(body: &[u8]) -> Option<(u64, String)> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let told = answer.get("partialSuccess");
    let field = |name| told.and_then(|told| told.get(name));
    let rejected = match field("rejectedSpans").or_else(|| field("rejectedLogRecords")) {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(number) => number.as_u64().unwrap_or(0),
        None => 0,
    };
    let message = field("errorMessage").and_then(Value::as_str).unwrap_or_default();
    Some((rejected, message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    fn told(rejected: u64, message: &str) -> Answer {
        Answer::Told { rejected, message: message.to_owned() }
    }

    #[test]
    fn partial_success_is_read_in_both_encodings() {
        let partial = ExportTracePartialSuccess { rejected_spans: 3, error_message: "late".to_owned() };
        let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        assert_eq!(read("application/x-protobuf", &body), told(3, "late"));
        for rejected in [r#""rejectedSpans":"3""#, r#""rejectedLogRecords":3"#] {
            let body = format!(r#"{{"partialSuccess":{{{rejected},"errorMessage":"late"}}}}"#);
            assert_eq!(read("application/json; charset=utf-8", body.as_bytes()), told(3, "late"));
        }
    }

    #[test]
    fn an_answer_without_a_word_is_a_full_success() {
        assert_eq!(read("", b""), told(0, ""));
        assert_eq!(read("application/json", b"{}"), told(0, ""));
    }

    #[test]
    fn garbage_neither_rejects_anything_nor_breaks_anything() {
        for (content_type, body) in
            [("application/x-protobuf", &b"\xff\xff"[..]), ("application/json", b"{"), ("", b"OK")]
        {
            let Answer::Told { rejected: 0, message } = read(content_type, body) else { panic!("{content_type}") };
            assert!(message.contains("cannot be read"));
        }
        let negative = ExportTracePartialSuccess { rejected_spans: -3, error_message: String::new() };
        let body = ExportTraceServiceResponse { partial_success: Some(negative) }.encode_to_vec();
        assert_eq!(read("application/x-protobuf", &body), told(0, ""));
    }

    #[test]
    fn a_web_page_is_no_receiver() {
        assert_eq!(read("text/html; charset=utf-8", b"<html>"), Answer::WebPage);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(retry_after(&later).unwrap() > Duration::from_secs(90));
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("-1"), None);
    }

    #[test]
    fn an_errors_message_is_found_in_each_form() {
        let status = tonic_types::pb::Status { code: 3, message: "bad span".to_owned(), details: Vec::new() };
        assert_eq!(error_text("application/x-protobuf", &status.encode_to_vec()), "bad span");
        assert_eq!(error_text("application/json", br#"{"code":3,"message":"bad span"}"#), "bad span");
        assert_eq!(error_text("text/plain", b"bad span"), "bad span");
        assert_eq!(error_text("text/html", b"<html>"), "");
        assert_eq!(error_text("application/x-protobuf", b"\xff"), "");
    }
}
