//! Which open files: decided in the kernel, by path, end, or kind.

use agentsight_ebpf::live::Carrier;
use agentsight_ebpf::{CapturePolicy, Direction, StreamKind};

use crate::payload::{Payload, files, python_over, streams};

fn names(payload: &Payload, direction: Direction, candidates: &[&'static str]) -> Vec<&'static str> {
    candidates.iter().copied().filter(|name| !payload.over(name, direction).is_empty()).collect()
}

#[test]
fn files_are_chosen_by_their_paths_and_what_is_denied_is_not() {
    let program = "
import os, tempfile
place = tempfile.mkdtemp()
os.makedirs(place + '/conf/deep/er')
for name in ('/conf/a.yaml', '/conf/b.yml', '/conf/deep/er/c.yaml', '/a.yaml.bak', '/conf/secret.yaml', '/conf/deep/x.txt'):
    with open(place + name, 'w') as file: file.write(name)
";
    let all = ["a.yaml", "b.yml", "c.yaml", "a.yaml.bak", "secret.yaml", "x.txt"];
    let with =
        |patterns: &[&str], denied: &[&str]| CapturePolicy { denied_files: files(denied).files, ..files(patterns) };
    for (policy, expected) in [
        (with(&["*.{yaml,yml}"], &["secret.*"]), ["a.yaml", "b.yml", "c.yaml"].as_slice()),
        (with(&["conf/*"], &[]), &["a.yaml", "b.yml", "secret.yaml"]),
        (with(&["conf/**"], &["deep/**"]), &["a.yaml", "b.yml", "secret.yaml"]),
        (with(&["/tmp/**/er/*", "x.txt"], &[]), &["c.yaml", "x.txt"]),
        (with(&["*"], &["*"]), &[]),
    ] {
        python_over(Carrier::RingBuffer, program, &policy, |payload| {
            // `a.yaml` is part of another's name.
            let found = names(payload, Direction::Out, &all);
            let found: Vec<_> =
                found.into_iter().filter(|name| *name != "a.yaml" || has_end(payload, "/a.yaml")).collect();
            assert_eq!(found, expected, "{policy:?}");
        });
    }
}

fn has_end(payload: &Payload, name: &str) -> bool {
    payload.over(name, Direction::Out).iter().any(|chunk| chunk.bytes.ends_with(name.as_bytes()))
}

#[test]
fn kinds_of_streams_are_chosen_one_by_one() {
    let program = "
import os, socket, pty
r, w = os.pipe(); os.write(w, b'pipe'); os.read(r, 9)
a, b = socket.socketpair(); a.send(b'unix'); b.recv(9)
one, other = pty.openpty(); os.write(one, b'tty')
";
    for (kind, expected) in [(StreamKind::Pipe, "pipe"), (StreamKind::Unix, "unix"), (StreamKind::Tty, "tty")] {
        let policy = CapturePolicy { streams: [kind].into(), ..files(&[]) };
        python_over(Carrier::RingBuffer, program, &policy, |payload| {
            assert_eq!(names(payload, Direction::Out, &["pipe", "unix", "tty"]), [expected]);
            assert_eq!(payload.whole(expected, Direction::Out), expected.as_bytes());
        });
    }
}

#[test]
fn sockets_are_chosen_by_either_end() {
    let program = "
import socket
server = socket.create_server(('127.0.0.1', 0))
c = socket.create_connection(server.getsockname()); s, _ = server.accept()
c.sendall(b'request'); s.recv(99); s.sendall(b'answer'); c.recv(99)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.3', 0))
v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); v.bind(('127.0.0.2', 0)); u.sendto(b'datagram', v.getsockname()); v.recvfrom(99)
six = socket.create_server(('::1', 0), family=socket.AF_INET6)
d = socket.create_connection(six.getsockname()[:2]); t, _ = six.accept(); d.sendall(b'sixth'); t.recv(99)
";
    for (networks, tcp, udp) in [
        (["127.0.0.1"], "request".len() + "answer".len(), 0),
        (["127.0.0.0/8"], "request".len() + "answer".len(), "datagram".len()),
        (["127.0.0.2/32"], 0, "datagram".len()),
        (["::1"], "sixth".len(), 0),
        (["*"], "request".len() + "answer".len() + "sixth".len(), "datagram".len()),
        (["10.0.0.0/8"], 0, 0),
        (["127.0.0.1:1"], 0, 0),
    ] {
        python_over(Carrier::RingBuffer, program, &streams(&networks), |payload| {
            for direction in [Direction::In, Direction::Out] {
                let bytes = |name| payload.over(name, direction).iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
                assert_eq!((bytes("Tcp"), bytes("Udp")), (tcp, udp), "{networks:?} {direction:?}");
            }
        });
    }
}

#[test]
fn a_port_is_enough() {
    let program = "
import socket
server = socket.create_server(('127.0.0.1', 17653))
c = socket.create_connection(server.getsockname()); s, _ = server.accept()
c.sendall(b'request'); s.recv(99)
";
    python_over(Carrier::RingBuffer, program, &streams(&["*:17653"]), |payload| {
        assert_eq!(payload.whole("Tcp", Direction::Out), b"request");
        assert_eq!(payload.whole("Tcp", Direction::In), b"request");
    });
}

#[test]
fn what_nobody_asked_for_is_not_taken() {
    let program = "
import os, socket
r, w = os.pipe(); os.write(w, b'pipe'); os.read(r, 9)
";
    python_over(Carrier::RingBuffer, program, &CapturePolicy::default(), |payload| assert_eq!(payload.chunks, []));
}
