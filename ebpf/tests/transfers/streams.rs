//! Over pipes and sockets: streams with offsets.

use agentsight_ebpf::{Cut, Direction, Object, OpenHow, Protocol};

use crate::observe::on_both;
use crate::story::{Burst, Story, processes};

/// A Python program, over both carriers.
fn python(program: &str, claim: impl Fn(&Story)) {
    on_both(program, |events| {
        let story = Story::of(events);
        println!("{}", story.tell());
        claim(&story);
    });
}

/// By offset: which end is the first is no matter.
fn ranges(bursts: &[&Burst]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<_> = bursts.iter().map(|burst| (burst.end.offset, burst.end.end)).collect();
    ranges.sort_unstable();
    ranges
}

#[test]
fn both_ends_of_a_pipe_count_the_same_bytes() {
    let program = "
import os
r, w = os.pipe()
if os.fork() == 0:
    os.close(r)
    for size in (7, 100, 1000): os.write(w, b'x' * size)
    os._exit(0)
os.close(w)
while os.read(r, 64): pass
os.wait()
";
    python(program, |story| {
        let (out, back) = (story.only("pipe:", Direction::Out), story.over("pipe:", Direction::In));
        assert_eq!((out.end.offset, out.end.end, out.end.operations), (0, 1107, 3));
        assert_eq!(back.iter().map(|burst| burst.end.bytes).sum::<u64>(), 1107);
        assert_eq!(back.last().map(|burst| burst.end.end), Some(1107));
        assert_ne!(out.end.by.process, back[0].end.by.process);
    });
}

#[test]
fn two_writers_of_one_pipe_have_ranges_that_do_not_overlap() {
    let program = "
import os
r, w = os.pipe()
for text in (b'aaa', b'bbbbb', b'cc'):
    if os.fork() == 0:
        os.write(w, text); os._exit(0)
    os.wait()
    os.write(w, b'+')
os.close(w)
while os.read(r, 64): pass
";
    python(program, |story| {
        let out = story.over("pipe:", Direction::Out);
        assert_eq!(ranges(&out), [(0, 3), (3, 4), (4, 9), (9, 10), (10, 12), (12, 13)], "{}", story.tell());
        assert_eq!(processes(&out).len(), 4);
        assert_eq!(ranges(&story.over("pipe:", Direction::In)), [(0, 13)]);
    });
}

#[test]
fn a_socketpair_names_its_ends_and_counts_each_way() {
    let program = "
import os, socket
a, b = socket.socketpair()
if os.fork() == 0:
    a.close()
    b.recv(100); b.send(b'answer'); os._exit(0)
b.close()
a.send(b'ask'); a.recv(100); os.wait()
";
    python(program, |story| {
        let ends: Vec<_> = story
            .opens
            .iter()
            .filter_map(|open| match &open.object {
                Object::Unix(socket) => Some((socket.inode, socket.peer)),
                _ => None,
            })
            .collect();
        let [(one, Some(its_peer)), (other, Some(others_peer)), ..] = ends[..] else { panic!("{ends:?}") };
        assert_eq!((one, other), (others_peer, its_peer));
        assert_eq!(ranges(&story.over("unix:", Direction::Out)), [(0, 3), (0, 6)]);
        assert_eq!(ranges(&story.over("unix:", Direction::In)), [(0, 3), (0, 6)]);
        let out = story.over("unix:", Direction::Out);
        let answer = out.iter().find(|burst| burst.end.bytes == 6).expect("it was sent");
        assert!(answer.begin.flow.is_some(), "the answer follows from the question: {answer:?}");
    });
}

#[test]
fn a_connection_over_loopback_has_both_addresses_and_the_accepted_end_its_listener() {
    let program = "
import os, socket
s = socket.create_server(('127.0.0.1', 0))
port = s.getsockname()[1]
if os.fork() == 0:
    c = socket.create_connection(('127.0.0.1', port))
    c.sendall(b'request'); c.recv(100); os._exit(0)
c, _ = s.accept()
c.recv(100); c.sendall(b'response!')
os.wait()
";
    python(program, |story| {
        let ends: Vec<_> = story
            .opens
            .iter()
            .filter_map(|open| match &open.object {
                Object::Inet(inet) => inet.remote.map(|remote| (open, inet.local, remote, inet.protocol)),
                _ => None,
            })
            .collect();
        let accepted = ends.iter().find(|(open, ..)| matches!(open.how, OpenHow::Accepted { .. }));
        let (accepted, local, remote, protocol) = accepted.unwrap_or_else(|| panic!("{ends:?}"));
        assert_eq!(*protocol, Protocol::Tcp);
        assert!(
            ends.iter().any(|(_, its_local, its_remote, _)| (its_local, its_remote) == (remote, local)),
            "{ends:?}"
        );
        let OpenHow::Accepted { listener } = accepted.how else { unreachable!("it was looked for") };
        assert!(story.opens.iter().any(|open| open.open == listener), "the listener is announced");
        let tcp_out = story.over("Tcp", Direction::Out);
        assert_eq!(ranges(&tcp_out), [(0, 7), (0, 9)], "{}", story.tell());
    });
}

#[test]
fn a_unix_client_that_sends_before_it_is_accepted_loses_no_offset() {
    let program = "
import os, socket, tempfile
path = tempfile.mkdtemp() + '/sock'
s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen()
c = socket.socket(socket.AF_UNIX); c.connect(path)
c.send(b'early')
a, _ = s.accept()
a.recv(100); c.send(b'later'); a.recv(100)
";
    python(program, |story| {
        let path = "unix:";
        let out: u64 = story.over(path, Direction::Out).iter().map(|burst| burst.end.end).max().unwrap_or(0);
        let back: u64 = story.over(path, Direction::In).iter().map(|burst| burst.end.end).max().unwrap_or(0);
        assert_eq!((out, back), (10, 10), "{}", story.tell());
        let accepted = story.opens.iter().filter(|open| matches!(open.how, OpenHow::Accepted { .. }));
        let peers = accepted.filter_map(|open| match &open.object {
            Object::Unix(socket) => socket.peer,
            _ => None,
        });
        assert_eq!(peers.count(), 1, "the accepted end knows the client");
    });
}

#[test]
fn peeking_takes_nothing_and_the_end_of_a_file_is_no_transfer() {
    let program = "
import os, socket
a, b = socket.socketpair()
a.send(b'ask')
b.recv(100, socket.MSG_PEEK); b.recv(100)
a.close(); b.recv(100)
";
    python(program, |story| {
        let back = story.only("unix:", Direction::In);
        assert_eq!((back.end.bytes, back.end.operations), (3, 1));
    });
}

#[test]
fn many_turns_are_cut_until_the_allowance_is_used_and_every_byte_is_counted() {
    let program = "
import os, socket
a, b = socket.socketpair()
if os.fork() == 0:
    a.close()
    while b.recv(1): b.send(b'y')
    os._exit(0)
b.close()
for i in range(5003): a.send(b'x'); a.recv(1)
a.close(); os.wait()
";
    python(program, |story| {
        for direction in [Direction::In, Direction::Out] {
            let bursts = story.over("unix:", direction);
            let bytes: u64 = bursts.iter().map(|burst| burst.end.bytes).sum();
            assert_eq!(bytes, 2 * 5003, "{direction:?}");
            // Two ends, 64 each, and one a second: so many seconds it does not take.
            assert!((128..200).contains(&bursts.len()), "{direction:?}: {}", bursts.len());
            assert!(bursts.iter().any(|burst| burst.end.coalesced));
        }
    });
}

#[test]
fn what_was_read_before_it_leads_to_what_was_sent() {
    let program = "
import os, tempfile, socket
place = tempfile.mkdtemp()
open(place + '/config', 'w').write('id=7')
a, b = socket.socketpair()
a.send(b'before')
config = open(place + '/config').read()
a.send(config.encode())
if os.fork() == 0: os._exit(0)
";
    python(program, |story| {
        let config = story.only("/config", Direction::In);
        let source = config.begin.source.expect("it was not read before");
        let sent = story.over("unix:", Direction::Out);
        let flow = sent.last().and_then(|burst| burst.begin.flow).expect("something new was read");
        assert!(flow.before < source && source <= flow.now, "{flow:?} {source}");
        assert!(config.end.last <= sent.last().expect("it was sent").end.first);
        let fork = story.forks.iter().find(|fork| !fork.root).expect("it forks");
        assert!(fork.flow.is_some_and(|flow| flow.before < source && source <= flow.now), "{fork:?}");
        assert!(matches!(config.end.cut, Cut::Close | Cut::Flow));
    });
}

#[test]
fn a_datagram_without_a_connection_says_where_it_goes_and_where_it_came_from() {
    let program = "
import socket
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(('127.0.0.1', 0))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.bind(('127.0.0.1', 0))
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.bind(('127.0.0.1', 0))
for i in range(3): a.sendto(b'one', b.getsockname())
for i in range(3): b.recvfrom(100)
a.sendmsg([b'two!'], [], 0, c.getsockname())
c.recvmsg(100)
";
    python(program, |story| {
        let ends: Vec<_> = story
            .opens
            .iter()
            .filter_map(|open| match &open.object {
                Object::Inet(inet) => inet.remote.map(|remote| (inet.local, remote)),
                _ => None,
            })
            .collect();
        let [(a, b), (its_b, its_a), (again_a, c), (its_c, a_at_last)] = ends[..] else { panic!("{ends:?}") };
        assert_eq!((a, b, a, c), (its_a, its_b, again_a, its_c));
        assert_eq!(a, a_at_last);
        let sent: Vec<_> = story.over("Udp", Direction::Out).iter().map(|burst| burst.end.bytes).collect();
        assert_eq!(sent, [9, 4], "a burst goes to one end");
    });
}
