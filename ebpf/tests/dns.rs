//! What the programs say of DNS. Needs root, and its own network namespace: nobody else may have port 53 there.

mod observe;

use agentsight_ebpf::{Direction, Dns, Event};
use observe::on_both;

/// A name server of three lines, outside the eyes of the look-ups: it answers each question with one address.
const PRELUDE: &str = "
import ctypes, os, socket, struct, threading, time
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x40000000) == 0
os.system('ip link set lo up')

def answer(query):
    question = query[12:query.index(b'\\0', 12) + 5]
    record = b'\\xc0\\x0c' + struct.pack('>HHIH', 1, 1, 300, 4) + bytes([192, 0, 2, 7])
    return query[:2] + struct.pack('>HHHHH', 0x8180, 1, 1, 0, 0) + question + record

def question(number, name):
    labels = b''.join(bytes([len(label)]) + label for label in name.encode().split(b'.')) + b'\\0'
    return struct.pack('>HHHHHH', number, 0x100, 1, 0, 0, 0) + labels + struct.pack('>HH', 1, 1)

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('127.0.0.53', 53))
stream = socket.socket()
stream.bind(('127.0.0.53', 53))
stream.listen(4)
def serve():
    while True:
        query, client = server.recvfrom(2000)
        server.sendto(answer(query), client)
def serve_stream():
    while True:
        client, _ = stream.accept()
        length = struct.unpack('>H', client.recv(2, socket.MSG_WAITALL))[0]
        reply = answer(client.recv(length, socket.MSG_WAITALL))
        client.sendall(struct.pack('>H', len(reply)) + reply)
for target in serve, serve_stream:
    threading.Thread(target=target, daemon=True).start()
name_server = ('127.0.0.53', 53)
";

/// Direction, id, name, response code, addresses.
type Message = (Direction, u16, String, Option<u8>, Vec<String>);

/// The server's own side has no port 53 at its other end.
fn messages(events: &[Event]) -> Vec<Message> {
    let dns = events.iter().filter_map(|event| if let Event::Dns(it) = event { Some(&**it) } else { None });
    dns.map(|message: &Dns| {
        assert_eq!(message.server.map(|it| it.to_string()).as_deref(), Some("127.0.0.53:53"));
        assert!(!message.truncated);
        let burst = |event: &Event| matches!(event, Event::BurstBegin(it) if it.burst == message.burst);
        assert!(events.iter().any(burst), "{message:?}");
        let addresses = message.answers.iter().map(|it| format!("{} {}", it.address, it.ttl_seconds)).collect();
        (message.direction, message.id, message.name.clone(), message.response_code, addresses)
    })
    .collect()
}

fn asked(id: u16, name: &str) -> [Message; 2] {
    [
        (Direction::Out, id, name.to_owned(), None, vec![]),
        (Direction::In, id, name.to_owned(), Some(0), vec!["192.0.2.7 300".to_owned()]),
    ]
}

#[test]
fn queries_and_answers_are_seen_however_they_are_sent_and_received() {
    let program = format!(
        "{PRELUDE}
loose = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
loose.sendto(question(1, 'one.example'), name_server)
loose.recvfrom(2000)
loose.sendmsg([question(2, 'two.example')[:20], question(2, 'two.example')[20:]], [], 0, name_server)
loose.recvmsg(2000)
bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
bound.connect(name_server)
bound.send(question(3, 'three.example'))
bound.recv(2000)
os.write(bound.fileno(), question(4, 'four.example'))
os.read(bound.fileno(), 2000)
over_tcp = socket.create_connection(name_server)
text = question(5, 'five.example')
os.writev(over_tcp.fileno(), [struct.pack('>H', len(text)), text])
length = over_tcp.recv(2, socket.MSG_WAITALL)
over_tcp.recv(2000)
bound.send(b'no such thing')
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.sendto(question(9, 'elsewhere.example'), ('127.0.0.1', 5353))
"
    );
    on_both(&program, |events| {
        let expected = [
            asked(1, "one.example"),
            asked(2, "two.example"),
            asked(3, "three.example"),
            asked(4, "four.example"),
            asked(5, "five.example"),
        ];
        assert_eq!(messages(events), expected.concat());
    });
}

/// glibc asks for both families in one sendmmsg().
#[test]
fn a_resolver_of_libcs_is_seen() {
    let program = format!(
        "{PRELUDE}
assert libc.unshare(0x00020000) == 0
assert libc.mount(b'none', b'/', None, 0x44000, None) == 0
open('/tmp/resolv', 'w').write('nameserver 127.0.0.53\\n')
assert libc.mount(b'/tmp/resolv', b'/etc/resolv.conf', None, 4096, None) == 0
socket.getaddrinfo('host.example', 80, 0, socket.SOCK_STREAM)
"
    );
    on_both(&program, |events| {
        let messages = messages(events);
        let count = |direction| messages.iter().filter(|it| it.0 == direction && it.2 == "host.example").count();
        assert_eq!((count(Direction::Out), count(Direction::In), messages.len()), (2, 2, 4), "{messages:?}");
    });
}
