//! The span of a burst: what one image moved over one open file in one direction.

use std::time::Duration;

use agentsight_ebpf::{Cut, Direction, Object};
use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, burst_cut};
use opentelemetry::trace::SpanKind;

use super::attributes::Attributes;
use super::model::Span;
use super::outline::{Outline, identify, named, place_under};
use super::{Spans, content, link, object};
use crate::graph::{Sums, Transfer};

pub(super) fn burst(spans: &mut Spans, transfer: &Transfer) -> Span {
    let Transfer { image, object, .. } = transfer;
    let action = action_of(transfer.direction);
    let mut attributes = Attributes::of_span();
    identify(spans, image, (object::type_of(object), action), &mut attributes);
    object::describe(object, &mut attributes);
    if transfer.epoch > 0 {
        attributes.int(semconv::AGENTSIGHT_FILE_EPOCH, transfer.epoch);
    }
    match transfer.cut {
        Some(cut) => {
            describe_sums(&transfer.sums, &mut attributes);
            attributes.text(semconv::AGENTSIGHT_BURST_CUT, reason(cut));
        }
        None => attributes.flag(semconv::AGENTSIGHT_SPAN_INCOMPLETE, true),
    }
    attributes.flag(semconv::AGENTSIGHT_IO_MAPPED, transfer.mapped);
    attributes.flag(semconv::AGENTSIGHT_OBJECT_FOUND, transfer.found);
    if let Some(moved) = &transfer.content {
        content::describe(moved, spans.content_on_spans, &mut attributes);
    }
    let links = link::links(&transfer.causes, transfer.causes_dropped, image.id, &spans.ids);
    let (trace, parent) = place_under(spans, image, &transfer.under);
    let outline = Outline {
        image,
        trace,
        id: spans.ids.burst(image.id, transfer.id, trace.segment),
        parent: Some(parent),
        name: named(spans, action, &object::target(object)),
        kind: kind(object, transfer.direction),
        start: transfer.start,
        end: transfer.end,
    };
    outline.linked_span(spans, links, attributes)
}

/// `agentsight.action`.
pub(super) fn action_of(direction: Direction) -> &'static str {
    match direction {
        Direction::In => action::READ,
        Direction::Out => action::WRITE,
    }
}

/// Pipes, unix sockets and terminals are what messages go through; a file is worked on, and a connection's span says
/// already that it is one.
fn kind(object: &Object, direction: Direction) -> SpanKind {
    match (object, direction) {
        (Object::Pipe { .. } | Object::Unix(_) | Object::Tty { .. }, Direction::In) => SpanKind::Consumer,
        (Object::Pipe { .. } | Object::Unix(_) | Object::Tty { .. }, Direction::Out) => SpanKind::Producer,
        (Object::File(_) | Object::Inet(_), _) => SpanKind::Internal,
    }
}

fn describe_sums(sums: &Sums, attributes: &mut Attributes) {
    attributes.int(semconv::AGENTSIGHT_IO_BYTES, sums.bytes);
    attributes.int(semconv::AGENTSIGHT_IO_OPERATIONS, sums.operations);
    attributes.int(semconv::AGENTSIGHT_IO_OFFSET, sums.offset);
    attributes.int(semconv::AGENTSIGHT_IO_END, sums.end);
    if sums.wait_nanos > 0 {
        attributes.double(semconv::AGENTSIGHT_IO_WAIT, Duration::from_nanos(sums.wait_nanos).as_secs_f64());
    }
    if sums.errors > 0 {
        attributes.int(semconv::AGENTSIGHT_IO_ERRORS, sums.errors);
    }
    attributes.flag(semconv::AGENTSIGHT_IO_SPARSE, sums.sparse);
    attributes.flag(semconv::AGENTSIGHT_BURST_COALESCED, sums.coalesced);
}

fn reason(cut: Cut) -> &'static str {
    match cut {
        Cut::Direction => burst_cut::DIRECTION,
        Cut::Idle => burst_cut::IDLE,
        Cut::Age => burst_cut::AGE,
        Cut::OtherParty => burst_cut::OTHER_PARTY,
        Cut::Flow => burst_cut::FLOW,
        Cut::Close => burst_cut::CLOSE,
        Cut::Exit => burst_cut::EXIT,
        Cut::Session => burst_cut::SESSION,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agentsight_ebpf::{BurstId, Captured, FileId, FileKind, OpenId, Protocol, UnixKind, UnixSocket};
    use expect_test::expect;

    use super::*;
    use crate::graph::fixture::session;
    use crate::graph::{Activity, Cause, CauseKind, Confidence, Target, Under};
    use crate::spans::fixture::{
        check_activities, check_activities_with, file, image, images, own_span, tcp, transfer,
    };

    fn said(transfer: Transfer) -> Activity {
        Activity::Transferred(Box::new(transfer))
    }

    /// Over an open file of its own.
    fn numbered(open: u64, transfer: Transfer) -> Transfer {
        Transfer { id: BurstId { open: OpenId(open), number: 1 }, ..transfer }
    }

    fn cause(kind: CauseKind, bytes: Option<u64>, of: &Transfer, before_nanos: u64) -> Cause {
        let target = Target::Burst {
            id: of.id,
            image: Arc::clone(&of.image),
            direction: of.direction,
            object: Arc::clone(&of.object),
            trace: Arc::clone(&of.image.trace),
            before_nanos,
        };
        Cause { kind, confidence: Confidence::CERTAIN, target, bytes, matched: None }
    }

    #[test]
    fn the_request_is_linked_to_the_file_that_was_read_and_that_to_its_writer() {
        let images = images(
            "
                0 clock
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exec 101 /usr/bin/sh sh refresh.sh
                2 fork 100 102
                3 exec 102 /usr/bin/python3.11 python3 agent.py
            ",
        );
        let (refresh, agent) = (&images[&101], &images[&102]);
        let written = numbered(1, transfer(refresh, Direction::Out, file("/home/me/config.tmp", 42)));
        let mut read = numbered(2, transfer(agent, Direction::In, file("/home/me/config.json", 42)));
        read.causes = vec![cause(CauseKind::File, Some(47), &written, 12_345_678)];
        let mut sent = numbered(3, transfer(agent, Direction::Out, tcp()));
        sent.under = Under::Connection { open: OpenId(3), place: own_span(agent) };
        sent.causes = vec![cause(CauseKind::Flow, None, &read, 1_000_000)];
        check_activities(
            &[said(written), said(read), said(sent)],
            &expect![[r##"
            #1 write config.tmp under 1122df6dd6d30d58 3..5 unset
              agentsight.object.type=file
              agentsight.action=write
              file.path=/home/me/config.tmp
              file.name=config.tmp
              agentsight.file.id=8:1:42:7
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
            #2 read config.json under e4685c3e8e829065 3..5 unset
              agentsight.object.type=file
              agentsight.action=read
              file.path=/home/me/config.json
              file.name=config.json
              agentsight.file.id=8:1:42:7
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
              agentsight.causes=["file: write config.tmp by sh refresh.sh, 12 ms before"]
              link to #1 in 11111111111111111111111111111111
                agentsight.link.type=file
                agentsight.link.confidence=1.0
                agentsight.link.bytes=47
            #3 write tcp under 417297ca1c00f8e0 3..5 unset
              agentsight.object.type=tcp
              agentsight.action=write
              network.transport=tcp
              network.type=ipv4
              network.local.address=127.0.0.1
              network.local.port=40000
              network.peer.address=127.0.0.1
              network.peer.port=8080
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
              agentsight.causes=["flow: read config.json"]
              link to #2 in 11111111111111111111111111111111
                agentsight.link.type=flow
                agentsight.link.confidence=1.0
        "##]],
        );
    }

    #[test]
    fn pipes_sockets_and_terminals_have_producers_and_consumers() {
        let image = image("/bin/sh");
        let id = FileId { device: 14, inode: 9_001, generation: 0 };
        let pipe = Arc::new(Object::Pipe { id, path: Captured::default() });
        let fifo = Arc::new(Object::Pipe { id, path: Captured::whole("/tmp/orders") });
        let tty = Arc::new(Object::Tty { id, path: Captured::whole("/dev/pts/3") });
        let address = Captured::whole(b"\0bus".as_slice());
        let unix = Arc::new(Object::Unix(Box::new(UnixSocket {
            inode: 7,
            peer: Some(8),
            kind: UnixKind::SeqPacket,
            address,
        })));
        let activities = [
            transfer(&image, Direction::In, pipe),
            numbered(2, transfer(&image, Direction::Out, fifo)),
            numbered(3, transfer(&image, Direction::Out, tty)),
            numbered(4, transfer(&image, Direction::In, unix)),
        ];
        check_activities(
            &activities.map(said),
            &expect![[r#"
            #1 read pipe Consumer under 6fb6096f42eddb81 3..5 unset
              agentsight.object.type=pipe
              agentsight.action=read
              agentsight.file.id=0:14:9001:0
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
            #2 write orders Producer under 6fb6096f42eddb81 3..5 unset
              agentsight.object.type=pipe
              agentsight.action=write
              file.path=/tmp/orders
              file.name=orders
              agentsight.file.id=0:14:9001:0
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
            #3 write tty Producer under 6fb6096f42eddb81 3..5 unset
              agentsight.object.type=tty
              agentsight.action=write
              file.path=/dev/pts/3
              file.name=3
              agentsight.file.id=0:14:9001:0
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
            #4 read unix Consumer under 6fb6096f42eddb81 3..5 unset
              agentsight.object.type=unix
              agentsight.action=read
              network.transport=unix
              agentsight.socket.type=seqpacket
              server.address=@bus
              agentsight.socket.inode=7
              agentsight.socket.peer_inode=8
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
        "#]],
        );
    }

    #[test]
    fn what_is_odd_about_a_burst_is_said_on_it() {
        let image = image("/bin/sh");
        let mut odd = transfer(&image, Direction::Out, file("/tmp/x", 3));
        odd.sums.wait_nanos = 1_500_000_000;
        (odd.sums.sparse, odd.sums.coalesced, odd.sums.errors) = (true, true, 2);
        (odd.mapped, odd.found, odd.epoch, odd.causes_dropped) = (true, true, 2, 4);
        let mut unended = numbered(2, transfer(&image, Direction::In, file("/tmp/x", 3)));
        unended.cut = None;
        check_activities(
            &[said(odd), said(unended)],
            &expect![[r#"
            #1 write x under 6fb6096f42eddb81 3..5 unset
              agentsight.object.type=file
              agentsight.action=write
              file.path=/tmp/x
              file.name=x
              agentsight.file.id=8:1:3:7
              agentsight.file.epoch=2
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.io.wait=1.5
              agentsight.io.errors=2
              agentsight.io.sparse=true
              agentsight.burst.coalesced=true
              agentsight.burst.cut=close
              agentsight.io.mapped=true
              agentsight.object.found=true
              4 more links
            #2 read x under 6fb6096f42eddb81 3..5 unset
              agentsight.object.type=file
              agentsight.action=read
              file.path=/tmp/x
              file.name=x
              agentsight.file.id=8:1:3:7
              agentsight.span.incomplete=true
        "#]],
        );
    }

    #[test]
    fn files_that_are_not_regular_and_other_protocols_are_named_for_what_they_are() {
        let image = image("/bin/ping");
        let Object::File(mut null) = (*file("/dev/null", 5)).clone() else { panic!() };
        (null.kind, null.unlinked) = (FileKind::CharacterDevice, true);
        let Object::Inet(mut icmp) = (*tcp()).clone() else { panic!() };
        (icmp.protocol, icmp.remote, icmp.local) = (Protocol::Other(1), None, "[::]:0".parse().unwrap());
        let activities = [
            transfer(&image, Direction::Out, Arc::new(Object::File(null))),
            numbered(2, transfer(&image, Direction::Out, Arc::new(Object::Inet(icmp)))),
        ];
        check_activities(
            &activities.map(said),
            &expect![[r#"
            #1 write null under 6fb6096f42eddb81 3..5 unset
              agentsight.object.type=file
              agentsight.action=write
              file.path=/dev/null
              file.name=null
              agentsight.file.id=8:1:5:7
              agentsight.file.kind=character_device
              agentsight.file.unlinked=true
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
            #2 write ip under 6fb6096f42eddb81 3..5 unset
              agentsight.object.type=ip
              agentsight.action=write
              agentsight.socket.protocol=1
              network.type=ipv6
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
        "#]],
        );
    }

    #[test]
    fn plain_names_are_the_action_alone() {
        let mut session = session();
        session.options.target_names = false;
        let read = transfer(&image("/bin/sh"), Direction::In, file("/tmp/x", 3));
        check_activities_with(
            &session,
            &[said(read)],
            &expect![[r#"
            #1 read under 6fb6096f42eddb81 3..5 unset
              agentsight.object.type=file
              agentsight.action=read
              file.path=/tmp/x
              file.name=x
              agentsight.file.id=8:1:3:7
              agentsight.io.bytes=47
              agentsight.io.operations=1
              agentsight.io.offset=0
              agentsight.io.end=47
              agentsight.burst.cut=close
        "#]],
        );
    }
}
