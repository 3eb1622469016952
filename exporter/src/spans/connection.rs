//! The spans of a connection: one for its whole life; or one while it is open, and one that says how it ended.

use agentsight_ebpf::{Address, KernelNanos, Object};
use agentsight_semconv as semconv;
use agentsight_semconv::Name;
use agentsight_semconv::value::action;
use opentelemetry::trace::{SpanKind, Status};

use super::attributes::Attributes;
use super::errno::error_name;
use super::link::{self, Links};
use super::model::Span;
use super::outline::{Outline, identify, named, seconds};
use super::time::{iso_8601, wall};
use super::{Spans, address, object};
use crate::graph::{Connection, ConnectionAt, ConnectionContinued, Part, Place, Side};
use crate::session::SpanRef;

/// Received and sent, where that is known.
type Bytes = Option<(u64, u64)>;

/// The ids of a connection's own span.
pub(super) fn span_ref(spans: &Spans, connection: &Connection) -> SpanRef {
    let trace = &connection.under.trace;
    let span_id = spans.ids.connection(connection.image.id, connection.open, Part::Original, trace.segment);
    SpanRef { trace_id: trace.id, span_id }
}

/// The span of a connection that nothing more is heard of.
pub(super) fn announced(spans: &mut Spans, connection: &Connection) -> Span {
    own(spans, connection, connection.start, None, Some(semconv::AGENTSIGHT_SPAN_INCOMPLETE))
}

/// The span of a connection that nothing was sent of yet.
pub(super) fn whole(spans: &mut Spans, ended: &ConnectionAt) -> Span {
    let incomplete = Some(semconv::AGENTSIGHT_SPAN_INCOMPLETE).filter(|_| ended.incomplete);
    // What never was a connection has moved nothing.
    let bytes = Some(ended.bytes).filter(|_| ended.connection.error == 0);
    own(spans, &ended.connection, ended.at, bytes, incomplete)
}

/// The span of a connection that is still open.
pub(super) fn promoted(spans: &mut Spans, promoted: &ConnectionAt) -> Span {
    let mark = Some(semconv::AGENTSIGHT_SPAN_PROMOTED);
    own(spans, &promoted.connection, promoted.at, Some(promoted.bytes), mark)
}

/// The span, under a promoted connection's newest, that says how it ended. It covers all that its parent saw of the
/// life: for the original that is the whole, so that the duration is found on it, else it is said.
pub(super) fn close(spans: &mut Spans, ended: &ConnectionAt, under: &Place) -> Span {
    let mark = Some(semconv::AGENTSIGHT_SPAN_INCOMPLETE).filter(|_| ended.incomplete);
    closing(spans, &ended.connection, under, ended.at, Some(ended.bytes), mark)
}

/// The `close` of a promoted connection that nothing more is heard of.
pub(super) fn unknown_close(spans: &mut Spans, connection: &Connection) -> Span {
    let under = Place { start: connection.start, part: Part::Original, ..connection.under.clone() };
    closing(spans, connection, &under, under.start, None, Some(semconv::AGENTSIGHT_SPAN_INCOMPLETE))
}

/// The span that stands for a connection in a later trace: a moment, with the way back.
pub(super) fn continuation(spans: &mut Spans, continued: &ConnectionContinued) -> Span {
    let ConnectionContinued { connection, under, place } = continued;
    let image = &connection.image;
    let mut attributes = Attributes::of_span();
    identify(spans, image, (object::type_of(&connection.object), action::CONTINUE), &mut attributes);
    let (link, words) = link::connection_segment(connection, &spans.ids);
    let links = Links { links: vec![link], texts: vec![words], dropped: 0 };
    let segment = place.trace.segment;
    let outline = Outline {
        image,
        trace: &place.trace,
        id: spans.ids.connection(image.id, connection.open, Part::Continuation, segment),
        parent: Some(spans.ids.image(image.id, under.part, segment)),
        name: action::CONTINUE.into(),
        kind: SpanKind::Internal,
        start: place.start,
        end: place.start,
    };
    outline.linked_span(spans, links, attributes)
}

fn own(spans: &mut Spans, connection: &Connection, end: KernelNanos, bytes: Bytes, mark: Option<Name>) -> Span {
    let (action, kind) = match connection.side {
        Side::Client => (action::CONNECT, SpanKind::Client),
        Side::Server => (action::ACCEPT, SpanKind::Server),
    };
    let Connection { image, under, .. } = connection;
    let mut attributes = Attributes::of_span();
    identify(spans, image, (object::type_of(&connection.object), action), &mut attributes);
    object::describe(&connection.object, &mut attributes);
    describe_ends(connection, &mut attributes);
    describe_bytes(bytes, &mut attributes);
    let mut status = Status::Unset;
    if connection.error != 0 {
        let name = error_name(connection.error);
        status = Status::error(name.clone());
        attributes.text(semconv::ERROR_TYPE, name);
    }
    if let Some(mark) = mark {
        attributes.flag(mark, true);
    }
    let links = link::links(&connection.causes, connection.causes_dropped, image.id, &spans.ids);
    let segment = under.trace.segment;
    let outline = Outline {
        image,
        trace: &under.trace,
        id: spans.ids.connection(image.id, connection.open, Part::Original, segment),
        parent: Some(spans.ids.image(image.id, under.part, segment)),
        name: named(spans, action, &target(connection)),
        kind,
        start: connection.start,
        end,
    };
    Span { status, ..outline.linked_span(spans, links, attributes) }
}

fn closing(
    spans: &mut Spans,
    connection: &Connection,
    under: &Place,
    end: KernelNanos,
    bytes: Bytes,
    mark: Option<Name>,
) -> Span {
    let image = &connection.image;
    let mut attributes = Attributes::of_span();
    identify(spans, image, (object::type_of(&connection.object), action::CLOSE), &mut attributes);
    if under.trace.id != connection.under.trace.id {
        let start = wall(&connection.under.trace, connection.start);
        attributes.text(semconv::AGENTSIGHT_CONNECTION_START, iso_8601(start));
        attributes.double(semconv::AGENTSIGHT_CONNECTION_DURATION, seconds(connection.start, end));
    }
    describe_bytes(bytes, &mut attributes);
    if let Some(mark) = mark {
        attributes.flag(mark, true);
    }
    let segment = under.trace.segment;
    let outline = Outline {
        image,
        trace: &under.trace,
        id: spans.ids.close(image.id, connection.open, segment),
        parent: Some(spans.ids.connection(image.id, connection.open, under.part, segment)),
        name: action::CLOSE.into(),
        kind: SpanKind::Internal,
        start: under.start,
        end,
    };
    outline.span(spans, attributes)
}

/// Host or address of the end that was connected to, with its port. A peer's port says nothing to people.
fn target(connection: &Connection) -> String {
    let server = match (&connection.side, &connection.to, &*connection.object) {
        (Side::Client, Some(to), _) => Some(to.clone()),
        (Side::Client, None, Object::Inet(inet)) => inet.remote.map(Address::Inet),
        (Side::Server, _, Object::Inet(inet)) => Some(Address::Inet(inet.local)),
        (_, _, Object::Unix(socket)) => Some(Address::Unix(socket.address.clone())),
        _ => None,
    };
    match (&connection.host_name, &server) {
        (Some(host), Some(Address::Inet(server))) => format!("{host}:{}", server.port()),
        _ => server.as_ref().and_then(address::in_words).unwrap_or_default(),
    }
}

/// What the object does not say: the peer as `connect` was told, and who of the two is server and client.
fn describe_ends(connection: &Connection, attributes: &mut Attributes) {
    let Object::Inet(inet) = &*connection.object else { return };
    let told = if let Some(Address::Inet(told)) = connection.to { Some(told) } else { None };
    let peer = inet.remote.or(told);
    if let (None, Some(told)) = (inet.remote, told) {
        address::describe(address::PEER, told, attributes);
    }
    let (server, client) = match connection.side {
        Side::Client => (told.or(peer), None),
        Side::Server => (Some(inet.local), peer),
    };
    if let Some(server) = server {
        let host = connection.host_name.clone();
        attributes.text(semconv::SERVER_ADDRESS, host.unwrap_or_else(|| server.ip().to_string()));
        attributes.int(semconv::SERVER_PORT, server.port());
    }
    if let Some(client) = client {
        address::describe(address::CLIENT, client, attributes);
    }
    attributes.int(semconv::AGENTSIGHT_SOCKET_INODE, inet.inode);
    attributes.int(semconv::AGENTSIGHT_SOCKET_NAMESPACE, inet.netns);
}

fn describe_bytes(bytes: Bytes, attributes: &mut Attributes) {
    if let Some((received, sent)) = bytes {
        attributes.int(semconv::AGENTSIGHT_IO_RECEIVED, received);
        attributes.int(semconv::AGENTSIGHT_IO_SENT, sent);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agentsight_ebpf::OpenId;
    use expect_test::expect;

    use super::*;
    use crate::graph::Activity;
    use crate::graph::fixture::{activities, events, session};
    use crate::spans::Spans;
    use crate::spans::fixture::{at, check_activities, image, own_span, tcp};
    use crate::spans::model::Signal;

    fn connection(side: Side) -> Connection {
        let image = image("/usr/bin/curl");
        Connection {
            open: OpenId(3),
            under: own_span(&image),
            image,
            side,
            object: tcp(),
            to: None,
            host_name: None,
            start: at(3),
            error: 0,
            causes: Vec::new(),
            causes_dropped: 0,
        }
    }

    fn ended(connection: Connection) -> ConnectionAt {
        ConnectionAt { connection, at: at(9), bytes: (5120, 740), incomplete: false, close_under: None }
    }

    #[test]
    fn a_connection_says_both_ends_and_which_was_called() {
        let to = Some(Address::Inet("127.0.0.1:8080".parse().unwrap()));
        let host_name = Some("tickets.example".to_owned());
        let client = Connection { to, host_name, ..connection(Side::Client) };
        let activities = [client, connection(Side::Server)].map(|it| Activity::ConnectionEnded(Box::new(ended(it))));
        check_activities(
            &activities,
            &expect![[r#"
            #2 connect tickets.example:8080 Client under 6fb6096f42eddb81 3..9 unset
              agentsight.object.type=tcp
              agentsight.action=connect
              network.transport=tcp
              network.type=ipv4
              network.local.address=127.0.0.1
              network.local.port=40000
              network.peer.address=127.0.0.1
              network.peer.port=8080
              server.address=tickets.example
              server.port=8080
              agentsight.socket.inode=48213
              agentsight.socket.namespace=4026531840
              agentsight.io.received=5120
              agentsight.io.sent=740
            #2 accept 127.0.0.1:40000 Server under 6fb6096f42eddb81 3..9 unset
              agentsight.object.type=tcp
              agentsight.action=accept
              network.transport=tcp
              network.type=ipv4
              network.local.address=127.0.0.1
              network.local.port=40000
              network.peer.address=127.0.0.1
              network.peer.port=8080
              server.address=127.0.0.1
              server.port=40000
              client.address=127.0.0.1
              client.port=8080
              agentsight.socket.inode=48213
              agentsight.socket.namespace=4026531840
              agentsight.io.received=5120
              agentsight.io.sent=740
        "#]],
        );
    }

    #[test]
    fn a_connect_that_failed_is_an_error_by_the_errnos_name() {
        let Object::Inet(mut inet) = (*tcp()).clone() else { panic!() };
        inet.remote = None;
        let to = Some(Address::Inet("[::1]:9".parse().unwrap()));
        let refused = Connection { to, object: Arc::new(Object::Inet(inet)), error: 111, ..connection(Side::Client) };
        check_activities(
            &[Activity::ConnectionEnded(Box::new(ConnectionAt { bytes: (0, 0), ..ended(refused) }))],
            &expect![[r##"
                #1 connect [::1]:9 Client under 6fb6096f42eddb81 3..9 ERROR "ECONNREFUSED"
                  agentsight.object.type=tcp
                  agentsight.action=connect
                  network.transport=tcp
                  network.type=ipv4
                  network.local.address=127.0.0.1
                  network.local.port=40000
                  network.peer.address=::1
                  network.peer.port=9
                  server.address=::1
                  server.port=9
                  agentsight.socket.inode=48213
                  agentsight.socket.namespace=4026531840
                  error.type=ECONNREFUSED
            "##]],
        );
    }

    #[test]
    fn a_promoted_connection_has_two_spans_and_the_close_has_the_sums() {
        let began = connection(Side::Client);
        let promoted = ConnectionAt { bytes: (1, 2), ..ended(began.clone()) };
        let close_under = Some(Place { start: began.start, ..began.under.clone() });
        let closed = ConnectionAt { at: at(20_000), close_under, ..ended(began.clone()) };
        let activities = [
            Activity::ConnectionBegan(Box::new(began)),
            Activity::ConnectionPromoted(Box::new(promoted)),
            Activity::ConnectionEnded(Box::new(closed)),
        ];
        check_activities(
            &activities,
            &expect![[r#"
            #1 connect 127.0.0.1:8080 Client under 6fb6096f42eddb81 3..9 unset
              agentsight.object.type=tcp
              agentsight.action=connect
              network.transport=tcp
              network.type=ipv4
              network.local.address=127.0.0.1
              network.local.port=40000
              network.peer.address=127.0.0.1
              network.peer.port=8080
              server.address=127.0.0.1
              server.port=8080
              agentsight.socket.inode=48213
              agentsight.socket.namespace=4026531840
              agentsight.io.received=1
              agentsight.io.sent=2
              agentsight.span.promoted=true
            #2 close under #1 3..20000 unset
              agentsight.object.type=tcp
              agentsight.action=close
              agentsight.io.received=5120
              agentsight.io.sent=740
        "#]],
        );
    }

    #[test]
    fn a_close_in_a_later_trace_says_the_real_duration() {
        let began = connection(Side::Client);
        let mut session = session();
        session.options.segment.spans = 1;
        let text = "0 clock\n0 root 100\n1 exec 100 /bin/a a\n2 fork 100 101\n3 exec 101 /bin/b b";
        let (activities, _) = activities(&session, &events(text), None);
        let continued =
            activities.iter().find_map(|it| if let Activity::ImageContinued(it) = it { Some(it) } else { None });
        let close_under = Some(Place { start: at(5), ..continued.unwrap().place.clone() });
        let closed = ConnectionAt { close_under, ..ended(began) };
        check_activities(
            &[Activity::ConnectionEnded(Box::new(closed))],
            &expect![[r#"
                #1 close under 7e83290965f01bea 5..9 unset
                  agentsight.object.type=tcp
                  agentsight.action=close
                  agentsight.connection.start=2026-01-01T00:00:00.003Z
                  agentsight.connection.duration=0.006
                  agentsight.io.received=5120
                  agentsight.io.sent=740
            "#]],
        );
    }

    #[test]
    fn from_its_beginning_to_its_end_a_crash_leaves_what_is_still_to_be_sent() {
        let began = connection(Side::Client);
        let mut spans = Spans::new(&session());
        let mut out = Vec::new();
        let mut left = |activity| {
            out.clear();
            spans.translate(&activity, &mut out);
            let Some(Signal::Draft(draft)) = out.last() else { panic!("{out:?}") };
            assert_eq!(draft.of.trace_id, began.under.trace.id);
            (draft.of.span_id, draft.span.as_ref().map(|span| (span.id.span_id, span.name.to_string(), span.parent)))
        };
        let (of, open) = left(Activity::ConnectionBegan(Box::new(began.clone())));
        assert_eq!(open.as_ref().map(|(id, name, _)| (*id, &**name)), Some((of, "connect 127.0.0.1:8080")));
        let (same, open) = left(Activity::ConnectionPromoted(Box::new(ended(began.clone()))));
        assert_eq!(same, of);
        assert_eq!(open.as_ref().map(|(_, name, parent)| (&**name, *parent)), Some(("close", Some(of))));
        let close_under = Some(Place { start: began.start, ..began.under.clone() });
        let closed = ConnectionAt { close_under, ..ended(began.clone()) };
        assert_eq!(left(Activity::ConnectionEnded(Box::new(closed))), (of, None));
    }
}
