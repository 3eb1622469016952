//! Rule: a connection is a span of the image that connected or accepted, with its bursts as children, for its whole life.
//!
//! One that outlives `live_after` is sent while it is open, as an image is. An `accept` follows from the `connect` at the
//! other end, where that is on this host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use agentsight_ebpf::{
    Address, Connect, Direction, Doer, Inet, KernelNanos, Object, Open, OpenHow, OpenId, ProcessKey, Protocol,
};

use super::activity::Place;
use super::image::Part;
use super::load::Load;
use super::object::{StreamKey, stream};
use super::transfer::{Connection, ConnectionAt, ConnectionContinued, Side, Under};
use super::{Activity, Cause, CauseKind, Confidence, Graph, Image, Note, Target};

/// A connection that is open, or was until lately.
#[derive(Debug)]
pub(super) struct Held {
    connection: Connection,
    stage: Stage,
    /// Received and sent.
    bytes: (u64, u64),
    /// Its newest span in a later trace.
    newest: Option<Place>,
    /// When it was closed, and whether that was seen.
    closed: Option<(KernelNanos, Seen)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begun,
    Promoted,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Yes,
    No,
}

#[derive(Default)]
pub(super) struct Connections {
    by_open: BTreeMap<OpenId, Held>,
    /// By the stream that goes out of them, those that have not ended.
    by_stream: BTreeMap<StreamKey, OpenId>,
    by_process: BTreeMap<ProcessKey, BTreeSet<OpenId>>,
    /// Those that may be promoted, by start.
    unpromoted: BTreeSet<(KernelNanos, OpenId)>,
    /// Those that are closed and not said, by when.
    closed: BTreeSet<(KernelNanos, OpenId)>,
}

impl Connections {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_open.len() + self.by_stream.len() + self.by_process.len()
    }

    /// So many bytes went over it.
    pub(super) fn count(&mut self, open: OpenId, direction: Direction, bytes: u64) {
        if let Some(held) = self.by_open.get_mut(&open) {
            let sum = match direction {
                Direction::In => &mut held.bytes.0,
                Direction::Out => &mut held.bytes.1,
            };
            *sum = sum.saturating_add(bytes);
        }
    }

    /// The name that a connection's other end was looked up by, and the address, as far as they are known.
    pub(super) fn host_of(&self, open: OpenId) -> Option<(Option<&str>, Option<&Address>)> {
        let connection = &self.by_open.get(&open)?.connection;
        Some((connection.host_name.as_deref(), connection.to.as_ref()))
    }

    pub(super) fn close(&mut self, open: OpenId, at: KernelNanos) {
        self.end(open, at, Seen::Yes);
    }

    fn end(&mut self, open: OpenId, at: KernelNanos, seen: Seen) {
        let Some(held) = self.by_open.get_mut(&open).filter(|it| it.stage != Stage::Ended) else { return };
        if let Some((before, Seen::No)) = held.closed {
            self.closed.remove(&(before, open));
        } else if held.closed.is_some() {
            return;
        }
        held.closed = Some((at, seen));
        self.closed.insert((at, open));
    }

    /// The process has ended: whatever of its connections is not closed, it cannot use any more.
    pub(super) fn end_of_process(&mut self, process: ProcessKey, at: KernelNanos) {
        for open in self.by_process.get(&process).cloned().unwrap_or_default() {
            if self.by_open.get(&open).is_some_and(|held| held.closed.is_none()) {
                self.end(open, at, Seen::No);
            }
        }
    }

    /// The open file is forgotten.
    pub(super) fn forget(&mut self, open: OpenId) {
        self.by_open.remove(&open);
    }
}

impl Graph {
    /// A socket of the internet was accepted.
    pub(super) fn accepted(&mut self, open: &Open, out: &mut Vec<Activity>) {
        let (OpenHow::Accepted { .. }, Object::Inet(inet)) = (open.how, &open.object) else { return };
        let to = inet.remote.map(Address::Inet);
        self.begin_connection(&open.by, open.open, Side::Server, to, open.at, open.at, 0, out);
    }

    pub(super) fn connect(&mut self, connect: &Connect, out: &mut Vec<Activity>) {
        if self.is_too_late(connect.by.process, connect.at) {
            self.oddities.late_events += 1;
            return;
        }
        let object = self.opens.get(connect.open).map(|open| Arc::clone(&open.object));
        let is_stream = matches!(object.as_deref(), Some(Object::Inet(inet)) if inet.protocol != Protocol::Udp);
        if !is_stream || self.connections.by_open.contains_key(&connect.open) {
            self.note(&connect.by, connect.at, Note::Connect(Box::new(connect.clone())), out);
            return;
        }
        let Connect { at, by, open, began, to, error } = connect;
        self.begin_connection(by, *open, Side::Client, Some(to.clone()), *began, *at, *error, out);
        if *error != 0 {
            self.connections.close(*open, *at);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the two ends have nothing else in common")]
    fn begin_connection(
        &mut self,
        by: &Doer,
        open: OpenId,
        side: Side,
        to: Option<Address>,
        start: KernelNanos,
        at: KernelNanos,
        error: u32,
        out: &mut Vec<Activity>,
    ) {
        let Some(object) = self.opens.get(open).map(|it| Arc::clone(&it.object)) else { return };
        if self.connections.by_open.contains_key(&open) || self.is_too_late(by.process, at) {
            return;
        }
        let image = self.image_of(by, at, out);
        let mut connection = Connection {
            open,
            under: Place { trace: Arc::clone(&image.trace), part: Part::Original, start: image.start },
            image,
            side,
            object,
            to,
            host_name: None,
            start,
            error,
            causes: Vec::new(),
            causes_dropped: 0,
        };
        if side == Side::Client
            && let Some(Address::Inet(to)) = &connection.to
            && let Some((cause, name)) = self.answered_for(by.process, to.ip(), start)
        {
            connection.causes.push(cause);
            connection.host_name = Some(name);
        }
        let load = Load::of_connection(&connection);
        connection.under = self.stand(&connection.image, load, start, at, out);
        out.push(Activity::ConnectionBegan(Box::new(connection.clone())));
        let key = stream(&connection.object, Direction::Out);
        self.connections.by_process.entry(by.process).or_default().insert(open);
        self.connections.unpromoted.insert((start, open));
        let held = Held { connection, stage: Stage::Begun, bytes: (0, 0), newest: None, closed: None };
        self.connections.by_open.insert(open, held);
        if let Some(key) = key.filter(|_| error == 0) {
            self.connections.by_stream.insert(key, open);
            self.join_ends(open);
        }
    }

    /// Link an `accept` to the `connect` at the other end, whichever of the two is said first.
    fn join_ends(&mut self, open: OpenId) {
        let by_open = &mut self.connections.by_open;
        let Some(held) = by_open.get(&open) else { return };
        let Some(other) = other_end(&held.connection.object).and_then(|key| self.connections.by_stream.get(&key))
        else {
            return;
        };
        let (server, client) = match held.connection.side {
            Side::Server => (open, *other),
            Side::Client => (*other, open),
        };
        let Some(from) = by_open.get(&client).filter(|it| it.connection.side == Side::Client) else { return };
        let target = Target::Connection {
            open: client,
            image: Arc::clone(&from.connection.image),
            trace: Arc::clone(&from.connection.under.trace),
        };
        let cause = Cause { kind: CauseKind::Tcp, confidence: Confidence::CERTAIN, target, bytes: None, matched: None };
        let is_open = |it: &&mut Held| it.connection.side == Side::Server && it.stage == Stage::Begun;
        if let Some(to) = by_open.get_mut(&server).filter(is_open)
            && !to.connection.causes.iter().any(|it| it.kind == CauseKind::Tcp)
        {
            to.connection.causes.push(cause);
        }
    }

    /// Say what has become of connections.
    pub(super) fn tell_connections(&mut self, now: KernelNanos, out: &mut Vec<Activity>) {
        while let Some((at, open)) = self.connections.closed.first().copied().filter(|(at, _)| *at < now) {
            self.connections.closed.remove(&(at, open));
            self.end_connection(open, now, out);
        }
        let before = KernelNanos(now.0.saturating_sub(self.rules.live_after.0));
        while let Some((start, open)) = self.connections.unpromoted.first().copied().filter(|(it, _)| *it < before) {
            self.connections.unpromoted.remove(&(start, open));
            let Some(held) = self.connections.by_open.get_mut(&open) else { continue };
            held.stage = Stage::Promoted;
            out.push(Activity::ConnectionPromoted(Box::new(ConnectionAt {
                connection: held.connection.clone(),
                at: now.max(start),
                bytes: held.bytes,
                incomplete: false,
                close_under: None,
            })));
        }
    }

    /// The session is over.
    pub(super) fn end_all_connections(&mut self, at: KernelNanos, out: &mut Vec<Activity>) {
        let open: Vec<_> = self.connections.by_open.keys().copied().collect();
        for open in open {
            self.end_connection(open, at, out);
        }
        self.connections = Connections::default();
    }

    pub(super) fn end_connection(&mut self, open: OpenId, now: KernelNanos, out: &mut Vec<Activity>) {
        let connections = &mut self.connections;
        let Some(held) = connections.by_open.get_mut(&open).filter(|it| it.stage != Stage::Ended) else { return };
        let connection = &held.connection;
        let (at, seen) = held.closed.unwrap_or((now, Seen::No));
        let own = Place { trace: Arc::clone(&connection.under.trace), part: Part::Original, start: connection.start };
        let close_under = (held.stage == Stage::Promoted).then_some(own);
        connections.unpromoted.remove(&(connection.start, open));
        if let Some(key) = stream(&connection.object, Direction::Out)
            && connections.by_stream.get(&key) == Some(&open)
        {
            connections.by_stream.remove(&key);
        }
        let process = connection.image.id.process;
        if let Some(of_process) = connections.by_process.get_mut(&process) {
            of_process.remove(&open);
            if of_process.is_empty() {
                connections.by_process.remove(&process);
            }
        }
        if held.stage == Stage::Begun {
            // Room for a close that there will not be.
            self.traces.give_back(&connection.under.trace, Load::of_close(connection), Load::default());
        }
        held.stage = Stage::Ended;
        out.push(Activity::ConnectionEnded(Box::new(ConnectionAt {
            connection: connection.clone(),
            at: at.max(connection.start),
            bytes: held.bytes,
            incomplete: seen == Seen::No,
            close_under,
        })));
    }

    /// Where a burst of an image over a connection of the same image goes: under that connection's span, or under its
    /// continuation. The room is taken.
    pub(super) fn stand_in_connection(
        &mut self,
        open: OpenId,
        image: &Image,
        load: Load,
        start: KernelNanos,
        at: KernelNanos,
        out: &mut Vec<Activity>,
    ) -> Option<Under> {
        let held = self.connections.by_open.get(&open)?;
        let connection = held.connection.clone();
        if connection.image.id != image.id || connection.start > start {
            return None;
        }
        let trace = Arc::clone(&connection.under.trace);
        let original = Place { trace, part: Part::Original, start: connection.start };
        for place in [Some(original), held.newest.clone()].into_iter().flatten() {
            if self.traces.admits(&place.trace, load, at) {
                self.traces.charge(&place.trace, load, at);
                return Some(Under::Connection { open, place });
            }
        }
        let own = Load::of_connection_continuation(&connection);
        let under = self.stand(image, own + load, start, at, out);
        let place = Place { trace: Arc::clone(&under.trace), part: Part::Continuation, start };
        if let Some(held) = self.connections.by_open.get_mut(&open) {
            held.newest = Some(place.clone());
        }
        let continued = ConnectionContinued { connection, under, place: place.clone() };
        out.push(Activity::ConnectionContinued(Box::new(continued)));
        Some(Under::Connection { open, place })
    }
}

/// The stream that goes out of the other end.
fn other_end(object: &Object) -> Option<StreamKey> {
    match object {
        Object::Inet(inet) => {
            let Inet { netns, protocol, local, remote, .. } = **inet;
            let (from, to): (SocketAddr, SocketAddr) = (remote?, local);
            Some(StreamKey::Inet { netns, protocol, from, to })
        }
        Object::File(_) | Object::Pipe { .. } | Object::Tty { .. } | Object::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::{check, check_with, session};

    #[test]
    fn both_ends_are_spans_and_what_goes_over_them_hangs_under_them() {
        check(
            "
                0 root 100
                1 exec 100 /bin/server server
                2 fork 100 101
                3 exec 101 /bin/client client
                4 open 101 #1 tcp 127.0.0.1:5001 127.0.0.1:80
                5 open 100 #2 accepted #9 tcp 127.0.0.1:80 127.0.0.1:5001
                6 connect 101 #1 127.0.0.1:80 began 4
                7 out 101 #1.1 0..10
                8 in 100 #2.1 0..10
                9 close 101 #1
                10 tick
                11 exit 100 0
                12 tick
            ",
            &expect![[r#"
                began    100#1 Root server under -
                began    101#1 Exec server/client under 100#1
                accept   #2 127.0.0.1:5001 from 5 under 100#1
                connect  #1 127.0.0.1:80 from 4 under 101#1
                write    #1.1 101#1 tcp 0..10 at 7..7 under #1
                read     #2.1 100#1 tcp 0..10 at 8..8 under #2 <-Tcp #1.1 10
                closed   #1 4..9 received 0 sent 10
                ended    100#1 0..11 exit 0
                closed   #2 5..11 received 10 sent 0 incomplete <-Tcp 101#1 #1
                ended    101#1 2..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_failed_connect_is_a_span_and_one_on_a_unix_socket_a_note() {
        check(
            "
                0 root 100
                1 exec 100 /bin/curl curl
                2 open 100 #1 tcp 127.0.0.1:5001 127.0.0.1:80
                4 connect 100 #1 127.0.0.1:80 began 3 error 111
                5 connect 100 #1 127.0.0.1:80 began 5 error 111
                6 open 100 #2 unix 11 peer 12
                7 connect 100 #2 /run/x.sock
                8 exit 100 0
                9 tick
            ",
            &expect![[r#"
                began    100#1 Root curl under -
                connect  #1 127.0.0.1:80 error 111 from 3 under 100#1
                ended    100#1 0..8 exit 0 !Connect 111 !Connect 0
                closed   #1 3..4 received 0 sent 0
            "#]],
        );
    }

    #[test]
    fn one_that_stays_open_is_promoted_and_its_close_says_the_sums() {
        check(
            "
                0 root 100
                1 exec 100 /bin/agent agent
                2 open 100 #1 tcp 127.0.0.1:5001 10.0.0.1:443
                3 connect 100 #1 10.0.0.1:443
                4 out 100 #1.1 0..10
                11s tick
                12s in 100 #1.2 0..5
                13s close 100 #1
                14s tick
            ",
            &expect![[r#"
                began    100#1 Root agent under -
                connect  #1 10.0.0.1:443 from 3 under 100#1
                write    #1.1 100#1 tcp 0..10 at 4..4 under #1
                promoted #1 3..11000 received 0 sent 10
                promoted 100#1 0..11000
                read     #1.2 100#1 tcp 0..5 at 12000..12000 under #1
                closed   #1 3..13000 received 5 sent 10 close under #1
                exited   100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn one_that_finds_its_trace_full_goes_on_under_a_continuation() {
        let mut session = session();
        session.options.segment.spans = 3;
        check_with(
            &session,
            "
                0 root 100
                1 exec 100 /bin/agent agent
                2 open 100 #1 tcp 127.0.0.1:5001 10.0.0.1:443
                3 connect 100 #1 10.0.0.1:443
                4 out 100 #1.1 0..10
                5 tick
                6 in 100 #1.2 0..5
                7 tick
                8 out 100 #1.3 10..20
                9 close 100 #1
                10 tick
            ",
            &expect![[r#"
                began    100#1 Root agent under -
                connect  #1 10.0.0.1:443 from 3 under 100#1
                goes on  100#1 at 4 under - segment 1
                goes on  #1 at 4 under 100#1~ segment 1
                write    #1.1 100#1 tcp 0..10 at 4..4 under #1~ segment 1
                goes on  100#1 at 6 under - segment 2
                goes on  #1 at 6 under 100#1~ segment 2
                read     #1.2 100#1 tcp 0..5 at 6..6 under #1~ segment 2
                goes on  100#1 at 8 under - segment 3
                goes on  #1 at 8 under 100#1~ segment 3
                write    #1.3 100#1 tcp 10..20 at 8..8 under #1~ segment 3
                closed   #1 3..9 received 5 sent 20
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }
}
