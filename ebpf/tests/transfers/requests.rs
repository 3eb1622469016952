//! By requests to io_uring: the same as by system calls, however the kernel carries them out.

use agentsight_ebpf::live::Carrier;
use agentsight_ebpf::{Call, CallKind, Cut, Direction, Event, Object, OpenHow};

use crate::observe::observe;
use crate::story::Story;

const RING: &str = include_str!("ring.py");

/// The ways of a request: at once, by a worker thread of the kernel's, from a submission thread. `ring` and `how` are
/// given to the program's requests.
const WAYS: [(&str, Carrier); 3] = [
    ("ring, how = Ring(), 0", Carrier::RingBuffer),
    ("ring, how = Ring(), ASYNC", Carrier::PerfBuffers),
    ("ring, how = Ring(SQPOLL), 0", Carrier::RingBuffer),
];

/// A Python program, every way.
fn python(program: &str, claim: impl Fn(&[Event], &Story)) {
    for (way, carrier) in WAYS {
        let events = observe(carrier, &format!("{RING}\n{way}\n{program}"));
        let story = Story::of(&events);
        println!("{way}, {carrier:?}:\n{}", story.tell());
        claim(&events, &story);
    }
}

fn calls(events: &[Event]) -> Vec<(CallKind, [u64; 2])> {
    let of = |call: &Call| (call.kind, call.arguments);
    events.iter().filter_map(|event| if let Event::Call(call) = event { Some(of(call)) } else { None }).collect()
}

#[test]
fn a_file_that_is_opened_written_read_and_closed_is_as_by_calls() {
    let program = "
import tempfile
name = path(tempfile.mkdtemp() + '/made')
fd = ring.do(OPENAT, -100, name, size=0o600, more=os.O_CREAT | os.O_RDWR, flags=how)
assert fd > 2, fd
assert ring.do(WRITE, fd, bytearray(1000), off=10, flags=how) == 1000
assert ring.do(WRITE, fd, bytearray(300), off=-1, flags=how) == 300
assert ring.do(READ, fd, bytearray(200), off=500, flags=how) == 200
assert ring.do(CLOSE, fd, flags=how) == 0
";
    python(program, |events, story| {
        let (out, back) = (story.over("/made", Direction::Out), story.only("/made", Direction::In));
        assert_eq!(out.iter().map(|burst| burst.end.bytes).sum::<u64>(), 1300);
        assert_eq!(out.iter().map(|burst| burst.end.operations).sum::<u64>(), 2);
        assert_eq!((out[0].end.offset, out[0].end.end), (0, 1010));
        assert_eq!((back.end.offset, back.end.end, back.end.cut), (500, 700, Cut::Close));
        let made = story.opens.iter().find(|open| open.open == back.end.burst.open).expect("it was announced");
        let Object::File(file) = &made.object else { panic!("it is a file") };
        assert!(file.created && made.how != OpenHow::Found, "{made:?}");
        assert!(story.closed.contains(&made.open), "its last descriptor went");
        let seen = calls(events);
        assert!(matches!(seen.as_slice(), [(CallKind::IoUringFollowed, [8, _])]), "{seen:?}");
    });
}

#[test]
fn what_waits_for_its_bytes_is_counted_when_they_have_come() {
    let program = "
r, w = os.pipe()
ring.put(READ, r, bytearray(100), off=-1, flags=how)
if os.fork() == 0:
    os.write(w, b'x' * 77)
    os._exit(0)
assert ring.go() == [77]
os.wait()
";
    python(program, |_, story| {
        let (out, back) = (story.only("pipe:", Direction::Out), story.only("pipe:", Direction::In));
        assert_eq!((out.end.offset, out.end.end), (0, 77));
        assert_eq!((back.end.offset, back.end.end), (0, 77));
        assert_ne!(out.end.by.process, back.end.by.process);
        assert!(back.end.first >= out.end.first, "{back:?} {out:?}");
    });
}

#[test]
fn a_connection_is_made_used_and_taken_by_requests() {
    let program = "
import socket
server = socket.create_server(('127.0.0.1', 0))
address = bytearray(struct.pack('<H', 2) + struct.pack('>H', server.getsockname()[1]) + bytes([127, 0, 0, 1]) + bytes(8))
child = os.fork()
if child == 0:
    taken = server.accept()[0]
    assert len(taken.recv(100)) == 16
    taken.send(b'y' * 9)
    os._exit(0)
s = ring.do(SOCKET, 2, size=0, off=1, flags=how)
assert s > 2, s
assert ring.do(CONNECT, s, address, off=16, size=0, flags=how) == 0
assert ring.do(SEND, s, bytearray(16), flags=how) == 16
assert ring.do(RECV, s, bytearray(100), flags=how) == 9
os.wait()
";
    python(program, |events, story| {
        let connects = events.iter().filter(|event| matches!(event, Event::Connect(connect) if connect.error == 0));
        assert_eq!(connects.count(), 1);
        let out: Vec<_> = story.bursts.iter().filter(|it| it.end.bytes == 16).collect();
        let back: Vec<_> = story.bursts.iter().filter(|it| it.end.bytes == 9).collect();
        assert_eq!((out.len(), back.len()), (2, 2), "{}", story.tell());
    });
}

#[test]
fn a_request_that_is_not_followed_is_said_once() {
    let program = "
import tempfile
name = path(tempfile.mkdtemp() + '/gone')
open(bytes(name[:-1]), 'w').close()
assert ring.do(UNLINKAT, -100, name, size=0, flags=how) == 0
assert ring.do(UNLINKAT, -100, name, size=0, flags=how) == -2
";
    python(program, |events, _| {
        let unseen: Vec<_> = calls(events).into_iter().filter(|(kind, _)| *kind == CallKind::IoUringUnseen).collect();
        assert_eq!(unseen.len(), 1, "{unseen:?}");
        assert_eq!(unseen[0].1[0], 36);
    });
}

#[test]
fn a_splice_is_a_copy() {
    let program = "
import tempfile
place = tempfile.mkdtemp()
a = os.open(place + '/from', os.O_RDWR | os.O_CREAT); os.write(a, b'x' * 4001)
r, w = os.pipe()
assert ring.do(SPLICE, w, 30, off=-1, size=301, flags=how, slot=a) == 301
";
    python(program, |_, story| {
        let from = story.only("/from", Direction::In);
        let to = story.only("pipe:", Direction::Out);
        assert_eq!((from.end.offset, from.end.end), (30, 331));
        let copied = story.copies.first().expect("it is a copy");
        assert_eq!((copied.from, copied.to, copied.bytes), (from.end.burst, to.end.burst, 301));
    });
}

#[test]
fn an_end_that_found_no_room_is_said_not_to_be_seen() {
    let program = "
ring = Ring()
fd = os.open('/dev/zero', os.O_RDONLY)
for _ in range(3):
    for _ in range(8): ring.put(READ, fd, bytearray(10))
    assert libc.syscall(426, ring.fd, 8, 0, 0, 0, 0) == 8
";
    let events = observe(Carrier::RingBuffer, &format!("{RING}\n{program}"));
    let back: u64 = Story::of(&events).over("/dev/zero", Direction::In).iter().map(|it| it.end.operations).sum();
    assert_eq!(back, 16, "so many ends have room");
    assert!(calls(&events).contains(&(CallKind::IoUringUnseen, [255, 0])), "{:?}", calls(&events));
}
