//! OTLP/gRPC.

use std::net::TcpListener;
use std::time::Duration;

use agentsight::otlp::sender::SenderState;
use agentsight::store::{Counts, Kind, Row};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::desk::{Desk, PATIENCE, endpoint, log, resource, span, until};
use crate::grpc_receiver::{GrpcReceiver, numbers, partial};
use crate::http_receiver::HttpReceiver;

const GRPC: (&str, &str) = ("PROTOCOL", "grpc");

fn taken() -> Result<ExportTraceServiceResponse, Status> {
    Ok(ExportTraceServiceResponse::default())
}

#[tokio::test]
async fn several_resources_go_in_one_request_with_the_headers() {
    let receiver = GrpcReceiver::start().await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC, ("HEADERS", "authorization=Bearer%20x")]));
    desk.append("make", [1, 2]);
    desk.append("cc1", [3]);
    desk.append("make", [4]);
    let progress = desk.sender(id).await.drain(PATIENCE).await;
    assert_eq!(progress.counts, Counts { sent: 4, ..Counts::default() });
    let seen = receiver.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].metadata.get("authorization").unwrap(), "Bearer x");
    let groups = &seen[0].request.resource_spans;
    assert_eq!(
        groups.iter().map(|group| group.resource.clone().unwrap()).collect::<Vec<_>>(),
        [resource("make"), resource("cc1")]
    );
    assert_eq!(groups[0].scope_spans[0].schema_url, "https://opentelemetry.io/schemas/1.44.0");
    assert_eq!(numbers(&seen[0].request), [1, 2, 4, 3]);
}

#[tokio::test]
async fn log_records_go_to_the_log_service() {
    let receiver = GrpcReceiver::start().await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Log, &endpoint(&receiver.url(), &[GRPC]));
    desk.append("test", [1]);
    desk.store.append_rows(desk.session, [Row::of_log(log("lost 3 events"), &resource("test"))]).unwrap();
    let progress = desk.sender(id).await.drain(PATIENCE).await;
    assert_eq!(progress.counts, Counts { sent: 1, ..Counts::default() });
    let logs = receiver.logs();
    assert_eq!(logs[0].resource_logs[0].scope_logs[0].log_records, [log("lost 3 events")]);
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn both_compressions_arrive_whole() {
    for name in ["gzip", "zstd"] {
        let receiver = GrpcReceiver::start().await;
        let settings = endpoint(&receiver.url(), &[GRPC, ("COMPRESSION", name)]);
        Desk::new().deliver(23, &settings).await;
        assert_eq!(receiver.seen()[0].metadata.get("grpc-encoding").unwrap(), name);
        assert_eq!(receiver.taken(), (1..=23).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_partial_success_rejected_is_counted_and_said_and_not_sent_again() {
    let receiver = GrpcReceiver::answering(|_, _| Ok(partial(3, "too old"))).await;
    let progress = Desk::new().deliver(23, &endpoint(&receiver.url(), &[GRPC])).await;
    assert_eq!(progress.counts, Counts { sent: 20, rejected: 3, ..Counts::default() });
    assert_eq!(progress.notice.unwrap(), "3 of 23 spans rejected: too old");
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn a_backend_cannot_reject_more_than_it_was_sent() {
    let receiver = GrpcReceiver::answering(|_, _| Ok(partial(i64::MAX, ""))).await;
    let progress = Desk::new().deliver(5, &endpoint(&receiver.url(), &[GRPC])).await;
    assert_eq!(progress.counts, Counts { rejected: 5, ..Counts::default() });
}

#[tokio::test]
async fn an_unavailable_backend_gets_the_same_request_again() {
    let receiver =
        GrpcReceiver::answering(|n, _| if n < 2 { Err(Status::unavailable("starting")) } else { taken() }).await;
    let progress = Desk::new().deliver(7, &endpoint(&receiver.url(), &[GRPC])).await;
    assert_eq!(progress.counts, Counts { sent: 7, ..Counts::default() });
    let seen = receiver.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|call| call.request == seen[0].request));
}

#[tokio::test]
async fn retry_info_is_waited_for_even_while_draining() {
    const ASKED: Duration = Duration::from_millis(400);
    let receiver = GrpcReceiver::answering(|n, _| match n {
        0 => {
            let details = ErrorDetails::with_retry_info(Some(ASKED));
            Err(Status::with_error_details(Code::ResourceExhausted, "slow down", details))
        }
        _ => taken(),
    })
    .await;
    let progress = Desk::new().deliver(2, &endpoint(&receiver.url(), &[GRPC])).await;
    assert_eq!(progress.counts.sent, 2);
    let seen = receiver.seen();
    assert!(seen[1].at - seen[0].at >= ASKED, "{:?}", seen[1].at - seen[0].at);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_split_until_it_fits() {
    for refusal in [Status::resource_exhausted("received message larger than max"), Status::out_of_range("too large")] {
        let receiver = GrpcReceiver::answering(move |_, request| match numbers(request).len() {
            0..=3 => taken(),
            _ => Err(refusal.clone()),
        })
        .await;
        let progress = Desk::new().deliver(23, &endpoint(&receiver.url(), &[GRPC])).await;
        assert_eq!(progress.counts, Counts { sent: 23, ..Counts::default() });
        assert_eq!(receiver.taken(), (1..=23).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn one_span_that_is_too_large_costs_only_itself() {
    let receiver = GrpcReceiver::answering(|_, request| match numbers(request).contains(&5) {
        true => Err(Status::resource_exhausted("received message larger than max")),
        false => taken(),
    })
    .await;
    let progress = Desk::new().deliver(11, &endpoint(&receiver.url(), &[GRPC])).await;
    assert_eq!(progress.counts, Counts { sent: 10, dropped: 1, ..Counts::default() });
    assert!(progress.notice.unwrap().contains("too large"));
    assert_eq!(receiver.taken(), [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
}

#[tokio::test]
async fn requests_stay_below_three_mebibytes() {
    let receiver = GrpcReceiver::start().await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC]));
    let rows: Vec<_> =
        (1..=10).map(|number| Row::of_span(span(number, &"x".repeat(1 << 20)), &resource("test"))).collect();
    desk.store.append_rows(desk.session, rows).unwrap();
    desk.sender(id).await.drain(PATIENCE).await;
    let sizes: Vec<_> = receiver.seen().iter().map(|call| numbers(&call.request).len()).collect();
    assert_eq!(sizes, [2, 2, 2, 2, 2]);
}

#[tokio::test]
async fn what_is_refused_for_good_is_dropped_and_counted_and_the_rest_goes_on() {
    let receiver =
        GrpcReceiver::answering(|n, _| if n == 0 { Err(Status::invalid_argument("bad span")) } else { taken() }).await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC]));
    desk.append("test", 1..=3);
    let sender = desk.sender(id).await;
    let progress = sender.drain(PATIENCE).await;
    assert_eq!(progress.counts, Counts { dropped: 3, ..Counts::default() });
    assert!(progress.notice.unwrap().contains("bad span"));
    desk.append("test", 4..=5);
    sender.waker().wake();
    assert_eq!(sender.drain(PATIENCE).await.counts, Counts { sent: 2, dropped: 3, ..Counts::default() });
}

#[tokio::test]
async fn a_signal_that_is_not_taken_waits_in_the_store_and_is_tried_again_much_later() {
    let receiver =
        GrpcReceiver::answering(|n, _| if n == 0 { Err(Status::unimplemented("no traces here")) } else { taken() })
            .await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC]));
    desk.append("test", 1..=3);
    let sender = desk.sender(id).await;
    // Draining does not wait for it.
    let progress = sender.drain(PATIENCE).await;
    assert!(matches!(progress.state, SenderState::NotTaken(reason) if reason.contains("no traces here")));
    assert_eq!(progress.counts, Counts { pending: 3, ..Counts::default() });
    until(&sender, |state| *state == SenderState::Idle).await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
    drop(seen);
    assert_eq!(receiver.taken(), [1, 2, 3]);
}

#[tokio::test]
async fn spans_wait_until_the_backend_is_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&format!("http://{address}"), &[GRPC]));
    desk.append("test", 1..=3);
    let sender = desk.sender(id).await;
    let progress = until(&sender, |state| matches!(state, SenderState::Waiting(_))).await;
    assert!(matches!(progress.state, SenderState::Waiting(reason) if reason.contains("refused")));
    assert_eq!(progress.counts, Counts { pending: 3, ..Counts::default() });
    let receiver = GrpcReceiver::listening(TcpListener::bind(address).unwrap(), None, |_, _| taken()).await;
    sender.drain(PATIENCE).await;
    assert_eq!(receiver.taken(), [1, 2, 3]);
}

#[tokio::test]
async fn garbage_in_place_of_grpc_loses_nothing() {
    let receiver = HttpReceiver::answering(|_| "SSH-2.0-OpenSSH_9.2\r\n".to_owned()).await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC]));
    desk.append("test", 1..=3);
    let sender = desk.sender(id).await;
    let progress = until(&sender, |state| matches!(state, SenderState::Waiting(_))).await;
    assert_eq!(progress.counts, Counts { pending: 3, ..Counts::default() });
}

#[tokio::test]
async fn a_backend_that_never_answers_is_given_up_after_the_timeout() {
    // Accepted by the kernel, never by a program.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&url, &[GRPC, ("TIMEOUT", "50")]));
    desk.append("test", [1]);
    let sender = desk.sender(id).await;
    let progress = until(&sender, |state| matches!(state, SenderState::Waiting(_))).await;
    assert_eq!(progress.state, SenderState::Waiting("no answer within 50ms".to_owned()));
}
