//! OTLP/HTTP.

use std::io::Read;
use std::time::Duration;

use agentsight::otlp::sender::SenderState;
use agentsight::store::{Counts, Kind, Row};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::desk::{Desk, PATIENCE, endpoint, log, resource, until};
use crate::grpc_receiver::{GrpcReceiver, numbers, partial};
use crate::http_receiver::{HttpReceiver, answer};

const PROTOBUF: &str = "content-type: application/x-protobuf";
const JSON: &str = "content-type: application/json";

fn ok() -> String {
    answer("200 OK", &[PROTOBUF], "")
}

async fn receiver_of(answers: Vec<String>) -> HttpReceiver {
    HttpReceiver::answering(move |n| answers.get(n).cloned().unwrap_or_else(ok)).await
}

fn read(body: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(body).unwrap()
}

#[tokio::test]
async fn several_resources_go_in_one_request_with_the_headers() {
    let receiver = receiver_of(vec![]).await;
    let mut desk = Desk::new();
    let settings = endpoint(&receiver.url(), &[("HEADERS", "x-api-key=s3cret,content-type=text/plain")]);
    let id = desk.destination(Kind::Span, &settings);
    desk.append("make", [1, 2]);
    desk.append("cc1", [3]);
    let progress = desk.sender(id).await.drain(PATIENCE).await;
    assert_eq!(progress.counts, Counts { sent: 3, ..Counts::default() });
    let seen = receiver.seen();
    assert_eq!((seen.len(), seen[0].path.as_str()), (1, "/v1/traces"));
    assert_eq!(seen[0].headers["x-api-key"], "s3cret");
    assert_eq!(seen[0].headers["content-type"], "application/x-protobuf");
    assert_eq!(read(&seen[0].body).resource_spans.len(), 2);
}

#[tokio::test]
async fn both_compressions_arrive_whole() {
    for name in ["gzip", "zstd"] {
        let receiver = receiver_of(vec![]).await;
        Desk::new().deliver(23, &endpoint(&receiver.url(), &[("COMPRESSION", name)])).await;
        let seen = receiver.seen().remove(0);
        assert_eq!(seen.headers["content-encoding"], name);
        let mut body = Vec::new();
        match name {
            "gzip" => flate2::read::GzDecoder::new(seen.body.as_slice()).read_to_end(&mut body).unwrap(),
            _ => zstd::Decoder::new(seen.body.as_slice()).unwrap().read_to_end(&mut body).unwrap(),
        };
        assert_eq!(numbers(&read(&body)), (1..=23).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn json_follows_the_otlp_mapping() {
    let receiver = receiver_of(vec![answer(
        "200 OK",
        &[JSON],
        r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"late"}}"#,
    )])
    .await;
    let progress = Desk::new().deliver(2, &endpoint(&receiver.url(), &[("PROTOCOL", "http/json")])).await;
    assert_eq!(progress.counts, Counts { sent: 1, rejected: 1, ..Counts::default() });
    let seen = receiver.seen().remove(0);
    assert_eq!(seen.headers["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "07".repeat(16));
    assert_eq!(span["spanId"], "0000000000000001");
    assert_eq!(span["endTimeUnixNano"], "2");
}

#[tokio::test]
async fn log_records_go_to_their_own_url() {
    let receiver = receiver_of(vec![]).await;
    let mut desk = Desk::new();
    let mut settings = endpoint(&receiver.url(), &[]);
    settings.url = format!("{}/v1/logs", receiver.url());
    let id = desk.destination(Kind::Log, &settings);
    desk.store.append_rows(desk.session, [Row::of_log(log("lost 3 events"), &resource("test"))]).unwrap();
    desk.sender(id).await.drain(PATIENCE).await;
    let seen = receiver.seen().remove(0);
    assert_eq!(seen.path, "/v1/logs");
    let request = ExportLogsServiceRequest::decode(seen.body.as_slice()).unwrap();
    assert_eq!(request.resource_logs[0].scope_logs[0].log_records, [log("lost 3 events")]);
}

#[tokio::test]
async fn exactly_four_statuses_are_tried_again() {
    for (status, is_retried) in [
        ("429 Too Many Requests", true),
        ("502 Bad Gateway", true),
        ("503 Service Unavailable", true),
        ("504 Gateway Timeout", true),
        ("400 Bad Request", false),
        ("408 Request Timeout", false),
        ("500 Internal Server Error", false),
        ("501 Not Implemented", false),
    ] {
        let receiver = receiver_of(vec![answer(status, &["content-type: text/plain"], "because")]).await;
        let progress = Desk::new().deliver(2, &endpoint(&receiver.url(), &[])).await;
        let expected = if is_retried {
            Counts { sent: 2, ..Counts::default() }
        } else {
            assert!(progress.notice.unwrap().contains("because"));
            Counts { dropped: 2, ..Counts::default() }
        };
        assert_eq!(progress.counts, expected, "{status}");
        assert_eq!(receiver.seen().len(), if is_retried { 2 } else { 1 }, "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let receiver = receiver_of(vec![answer("503 Service Unavailable", &["retry-after: 1"], "")]).await;
    let progress = Desk::new().deliver(2, &endpoint(&receiver.url(), &[])).await;
    assert_eq!(progress.counts.sent, 2);
    let seen = receiver.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_split() {
    let receiver = receiver_of(vec![answer("413 Payload Too Large", &[], "")]).await;
    let progress = Desk::new().deliver(11, &endpoint(&receiver.url(), &[])).await;
    assert_eq!(progress.counts, Counts { sent: 11, ..Counts::default() });
    let numbers: Vec<_> = receiver.seen().iter().map(|seen| numbers(&read(&seen.body)).len()).collect();
    assert_eq!(numbers, [11, 5, 6]);
}

#[tokio::test]
async fn partial_success_is_counted() {
    let body = String::from_utf8(partial(3, "too old").encode_to_vec()).unwrap();
    let receiver = receiver_of(vec![answer("200 OK", &[PROTOBUF], &body)]).await;
    let progress = Desk::new().deliver(7, &endpoint(&receiver.url(), &[])).await;
    assert_eq!(progress.counts, Counts { sent: 4, rejected: 3, ..Counts::default() });
}

#[tokio::test]
async fn an_address_that_is_no_otlp_receiver_or_does_not_let_us_in_costs_nothing_and_is_said() {
    for (answer, said) in [
        (answer("404 Not Found", &[], ""), "404"),
        (answer("405 Method Not Allowed", &[], ""), "405"),
        (answer("401 Unauthorized", &[], ""), "401"),
        (answer("403 Forbidden", &[], ""), "403"),
        (answer("200 OK", &["content-type: text/html"], "<html>"), "web page"),
        (
            answer("301 Moved Permanently", &["location: https://elsewhere/v1/traces"], ""),
            "https://elsewhere/v1/traces",
        ),
    ] {
        let receiver = HttpReceiver::answering(move |_| answer.clone()).await;
        let progress = Desk::new().deliver(3, &endpoint(&receiver.url(), &[])).await;
        assert_eq!(progress.counts, Counts { pending: 3, ..Counts::default() });
        assert!(matches!(progress.state, SenderState::NotTaken(reason) if reason.contains(said)), "{said}");
    }
}

#[tokio::test]
async fn garbage_in_place_of_http_loses_nothing() {
    for garbage in ["SSH-2.0-OpenSSH_9.2\r\n", "", "HTTP/1.1 999999\r\n\r\n"] {
        let receiver = HttpReceiver::answering(|_| garbage.to_owned()).await;
        let mut desk = Desk::new();
        let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[]));
        desk.append("test", 1..=3);
        let sender = desk.sender(id).await;
        let progress = until(&sender, |state| matches!(state, SenderState::Waiting(_))).await;
        assert_eq!(progress.counts, Counts { pending: 3, ..Counts::default() });
    }
}

#[tokio::test]
async fn a_grpc_port_is_recognised() {
    let receiver = GrpcReceiver::start().await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[]));
    desk.append("test", [1]);
    let sender = desk.sender(id).await;
    let progress = until(&sender, |state| matches!(state, SenderState::Waiting(_))).await;
    assert!(matches!(progress.state, SenderState::Waiting(reason) if reason.contains("PROTOCOL=grpc")));
}

#[tokio::test]
async fn a_2xx_with_an_unreadable_body_is_a_delivery_with_a_word_about_it() {
    let receiver = receiver_of(vec![answer("202 Accepted", &["content-type: text/plain"], "thanks")]).await;
    let progress = Desk::new().deliver(3, &endpoint(&receiver.url(), &[])).await;
    assert_eq!(progress.counts, Counts { sent: 3, ..Counts::default() });
    assert!(progress.notice.unwrap().contains("cannot be read"));
}

#[tokio::test]
async fn headers_and_queries_are_in_no_message() {
    let settings = endpoint("http://127.0.0.1:9", &[("HEADERS", "x-api-key=s3cret")]);
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &settings);
    desk.append("test", [1]);
    let sender = desk.sender(id).await;
    let progress = until(&sender, |state| matches!(state, SenderState::Waiting(_))).await;
    let shown = format!("{progress:?} {sender:?}");
    assert!(shown.contains("refused") && !shown.contains("s3cret"), "{shown}");
}
