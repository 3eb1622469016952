//! What the programs say of connects. Needs root.

mod observe;

use agentsight_ebpf::{Address, Connect, Event, Object, OpenHow};
use observe::on_both;

const PRELUDE: &str = "
import socket, errno, os, tempfile, time
folder = tempfile.mkdtemp()
os.chdir(folder)

def listen(family, address, backlog=8):
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen(backlog)
    return listener

def connect(family, address, blocking=True, kind=socket.SOCK_STREAM):
    client = socket.socket(family, kind)
    client.setblocking(blocking)
    return client, client.connect_ex(address)
";

fn connects(events: &[Event]) -> Vec<&Connect> {
    let connects = events.iter().filter_map(|event| if let Event::Connect(it) = event { Some(&**it) } else { None });
    connects.collect()
}

/// Each outcome, with what it went to; every socket was announced before.
fn outcomes(events: &[Event]) -> Vec<(String, u32)> {
    let mut outcomes = Vec::new();
    for connect in connects(events) {
        let is_its =
            |event: &&Event| matches!(event, Event::Open(open) if open.open == connect.open && open.at <= connect.at);
        assert!(events.iter().any(|event| is_its(&event)), "{connect:?} came without its socket");
        assert!(connect.began <= connect.at);
        let to = match &connect.to {
            Address::Inet(address) => address.ip().to_string(),
            Address::Unix(name) => String::from_utf8_lossy(&name.bytes).into_owned(),
            Address::Family(number) => format!("family {number}"),
        };
        outcomes.push((to, connect.error));
    }
    outcomes
}

fn expected(outcomes: &[(&str, i32)]) -> Vec<(String, u32)> {
    outcomes.iter().map(|(to, error)| ((*to).to_owned(), error.unsigned_abs())).collect()
}

#[test]
fn every_connect_has_its_outcome_and_its_address() {
    let program = format!(
        "{PRELUDE}
four = listen(socket.AF_INET, ('127.0.0.1', 0))
six = listen(socket.AF_INET6, ('::1', 0))
keep = [connect(socket.AF_INET, four.getsockname()), connect(socket.AF_INET, four.getsockname(), blocking=False)]
keep.append(connect(socket.AF_INET6, six.getsockname()))
keep.append(connect(socket.AF_INET6, ('::ffff:127.0.0.1', four.getsockname()[1])))
port = four.getsockname()[1]
four.close()
keep.append(connect(socket.AF_INET, ('127.0.0.2', port)))
keep.append(connect(socket.AF_INET, ('127.0.0.3', port), blocking=False))
path, abstract = listen(socket.AF_UNIX, 'here'), listen(socket.AF_UNIX, '\\0agentsight' + str(os.getpid()))
keep.append(connect(socket.AF_UNIX, 'here'))
keep.append(connect(socket.AF_UNIX, abstract.getsockname()))
keep.append(connect(socket.AF_UNIX, 'gone'))
keep.append(connect(socket.AF_INET, ('127.0.0.4', 53), kind=socket.SOCK_DGRAM))
"
    );
    on_both(&program, |events| {
        let mut outcomes = outcomes(events);
        let name =
            outcomes.iter_mut().find(|(to, _)| to.starts_with("\0agentsight")).expect("the abstract one is there");
        name.0 = "abstract".to_owned();
        let expected = expected(&[
            ("127.0.0.1", 0),
            ("127.0.0.1", 0),
            ("::1", 0),
            ("127.0.0.1", 0),
            ("127.0.0.2", 111),
            ("127.0.0.3", 111),
            ("here", 0),
            ("abstract", 0),
            ("gone", 2),
            ("127.0.0.4", 0),
        ]);
        assert_eq!(outcomes, expected);
    });
}

/// A listener without room drops what comes, so that a connect waits for the second try of its own kernel.
#[test]
fn a_connect_that_nobody_waits_for_gets_the_outcome_that_comes_later() {
    let program = format!(
        "{PRELUDE}
full = listen(socket.AF_INET, ('127.0.0.1', 0), backlog=0)
first, _ = connect(socket.AF_INET, full.getsockname())
late, begun = connect(socket.AF_INET, full.getsockname(), blocking=False)
assert begun == errno.EINPROGRESS
given_up, begun = connect(socket.AF_INET, full.getsockname(), blocking=False)
assert begun == errno.EINPROGRESS
assert late.connect_ex(full.getsockname()) == errno.EALREADY
given_up.close()
full.accept()
import select
assert select.select([], [late], [], 10)[1]
assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
"
    );
    on_both(&program, |events| {
        let local = "127.0.0.1";
        events.iter().for_each(|event| println!("{event:?}"));
        assert_eq!(outcomes(events), expected(&[(local, 0), (local, 125), (local, 0)]));
        let late = connects(events)[2];
        assert!(late.at.0 - late.began.0 > 500_000_000, "it took its kernel's second try: {late:?}");
    });
}

#[test]
fn an_accepted_socket_names_the_one_that_listened() {
    let program = format!(
        "{PRELUDE}
four = listen(socket.AF_INET, ('127.0.0.1', 0))
client, _ = connect(socket.AF_INET, four.getsockname())
server, _ = four.accept()
client.send(b'x')
server.recv(1)
"
    );
    on_both(&program, |events| {
        let opens = events.iter().filter_map(|event| if let Event::Open(open) = event { Some(&**open) } else { None });
        let sockets: Vec<_> = opens.filter(|open| matches!(open.object, Object::Inet(_))).collect();
        let accepted = sockets.iter().find_map(|open| match open.how {
            OpenHow::Accepted { listener } => Some(listener),
            _ => None,
        });
        let listener = accepted.expect("one was accepted");
        assert!(sockets.iter().any(|open| open.open == listener), "{sockets:?}");
    });
}
