//! By requests to io_uring, where their buffers can be reached.

use agentsight_ebpf::live::Carrier;
use agentsight_ebpf::{CallKind, Direction, Event, Missing};

use crate::payload::{files, python_over};

const RING: &str = include_str!("../transfers/ring.py");

#[test]
fn what_a_request_moved_is_known_where_its_buffer_is_its_own() {
    let program = format!(
        "{RING}
import tempfile
place = tempfile.mkdtemp()
ring = Ring()
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT)
assert ring.do(WRITE, fd, bytearray(b'0123456789'), off=0, flags=0) == 10
assert ring.do(WRITE, fd, bytearray(b'abc'), off=10, flags=ASYNC) == 3
assert ring.do(READ, fd, bytearray(100), off=4, flags=0) == 9
piece = bytearray(b'pieces'); at = ctypes.addressof(ctypes.c_char.from_buffer(piece))
assert ring.do(2, fd, bytearray(struct.pack('QQ', at, 6)), off=13, size=1, flags=0) == 6
"
    );
    python_over(Carrier::RingBuffer, &program, &files(&["in.txt"]), |payload| {
        let followed = |event: &Event| matches!(event, Event::Call(call) if call.kind == CallKind::IoUringFollowed);
        if !payload.events.iter().any(followed) {
            eprintln!("not shown here: this kernel does not let requests to io_uring be followed");
            return;
        }
        let written = payload.known("in.txt", Direction::Out);
        assert_eq!(written.bytes, b"0123456789abc");
        assert_eq!(written.holes, [(13..19, Missing::Unreadable)], "the list of pieces may be gone by then");
        let read = payload.over("in.txt", Direction::In);
        assert_eq!((read[0].offset, read[0].bytes.as_slice()), (4, b"456789abc".as_slice()));
    });
}
