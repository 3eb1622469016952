//! By every call that moves bytes.

use agentsight_ebpf::{Direction, Missing};

use crate::payload::{files, python, streams};

/// Bytes that no part of is like another: a counter in text.
fn text(length: usize) -> Vec<u8> {
    (0..).flat_map(|number: u32| format!("{number},").into_bytes()).take(length).collect()
}

/// The same, in the programs.
const TEXT: &str = "
import os, tempfile, socket
def text(length): return b''.join(b'%d,' % number for number in range(length))[:length]
place = tempfile.mkdtemp()
";

#[test]
fn a_file_is_known_as_it_was_written_and_read() {
    let program = format!(
        "{TEXT}
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT)
os.write(fd, text(10007)); os.lseek(fd, 0, 0)
while os.read(fd, 4000): pass
fd = os.open(place + '/other', os.O_RDWR | os.O_CREAT); os.write(fd, b'not wanted')
"
    );
    python(&program, &files(&["in.txt"]), |payload| {
        assert_eq!(payload.whole("in.txt", Direction::Out), text(10_007));
        assert_eq!(payload.whole("in.txt", Direction::In), text(10_007));
        let calls: Vec<_> = payload.over("in.txt", Direction::In).iter().map(|chunk| chunk.call.clone()).collect();
        assert_eq!(calls, [0..4000, 4000..8000, 8000..10_007]);
        assert!(payload.chunks.iter().all(|chunk| payload.over("in.txt", chunk.direction).contains(&chunk)));
    });
}

#[test]
fn a_byte_at_a_time_is_the_same() {
    let program = format!(
        "{TEXT}
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT)
for byte in text(2003): os.write(fd, bytes([byte]))
os.lseek(fd, 0, 0)
while os.read(fd, 1): pass
"
    );
    python(&program, &files(&["in.txt"]), |payload| {
        assert_eq!(payload.whole("in.txt", Direction::Out), text(2003));
        assert_eq!(payload.whole("in.txt", Direction::In), text(2003));
        assert_eq!(payload.over("in.txt", Direction::In).len(), 2003);
    });
}

#[test]
fn a_mebibyte_at_once_is_the_same() {
    let program = format!(
        "{TEXT}
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT)
assert os.write(fd, text(1 << 20)) == 1 << 20
assert len(os.pread(fd, 1 << 20, 0)) == 1 << 20
"
    );
    python(&program, &files(&["in.txt"]), |payload| {
        assert_eq!(payload.whole("in.txt", Direction::Out), text(1 << 20));
        assert_eq!(payload.whole("in.txt", Direction::In), text(1 << 20));
    });
}

#[test]
fn pieces_are_put_together_also_empty_ones_and_many() {
    let program = format!(
        "{TEXT}
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT)
all = text(9001)
assert os.writev(fd, [all[:3], b'', all[3:8500], all[8500:]]) == 9001
assert os.preadv(fd, [bytearray(1) for _ in range(400)] + [bytearray(10000)], 0) == 9001
assert os.pwritev(fd, [all[7:8], all[8:10]], 7) == 3
"
    );
    python(&program, &files(&["in.txt"]), |payload| {
        assert_eq!(payload.whole("in.txt", Direction::Out), text(9001));
        assert_eq!(payload.whole("in.txt", Direction::In), text(9001));
    });
}

#[test]
fn more_pieces_than_can_be_followed_are_a_hole() {
    let program = format!(
        "{TEXT}
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT)
all = text(1024)
assert os.writev(fd, [all[i:i+1] for i in range(1024)]) == 1024
"
    );
    python(&program, &files(&["in.txt"]), |payload| {
        let known = payload.known("in.txt", Direction::Out);
        let length = known.bytes.len();
        assert!(length >= 400, "{length}");
        assert_eq!(known.bytes, text(length));
        assert_eq!(known.holes, [(length as u64..1024, Missing::Budget)]);
    });
}

#[test]
fn messages_over_sockets_are_known_at_both_ends() {
    let program = format!(
        "{TEXT}
a, b = socket.socketpair()
a.sendmsg([text(5), text(6)]); b.recvmsg_into([bytearray(4), bytearray(100)])
a.sendall(text(300)); b.recv(7); b.recv_into(bytearray(1000))
"
    );
    python(&program, &streams(&[]), |payload| {
        let expected = [text(5), text(6), text(300)].concat();
        assert_eq!(payload.whole("unix", Direction::Out), expected);
        assert_eq!(payload.whole("unix", Direction::In), expected);
    });
}

#[test]
fn several_datagrams_of_one_call_follow_each_other() {
    let program = format!(
        "{TEXT}
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
def messages(buffers):
    kept = [ctypes.create_string_buffer(data, len(data)) for data in buffers]
    pieces = b''.join(struct.pack('QQ', ctypes.addressof(one), len(one)) for one in kept)
    pieces = ctypes.create_string_buffer(pieces, len(pieces))
    at = ctypes.addressof(pieces)
    heads = b''.join(struct.pack('QIIQQQQIIII', 0, 0, 0, at + 16 * i, 1, 0, 0, 0, 0, 0, 0) for i in range(len(kept)))
    return ctypes.create_string_buffer(heads, len(heads)), kept, pieces
sent = messages([text(9), text(100), text(3)])
assert libc.sendmmsg(a.fileno(), sent[0], 3, 0) == 3
received = messages([bytes(50), bytes(200), bytes(10)])
assert libc.recvmmsg(b.fileno(), received[0], 3, 0, None) == 3
"
    );
    python(&program, &streams(&[]), |payload| {
        let expected = [text(9), text(100), text(3)].concat();
        assert_eq!(payload.whole("unix", Direction::Out), expected);
        assert_eq!(payload.whole("unix", Direction::In), expected);
    });
}

#[test]
fn what_the_kernel_moves_by_itself_is_said_to_be_missing() {
    let program = format!(
        "{TEXT}
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT); os.write(fd, text(500))
to = os.open(place + '/in.txt.copy', os.O_RDWR | os.O_CREAT)
assert os.copy_file_range(fd, to, 400, 0) == 400
r, w = os.pipe()
assert os.splice(fd, w, 300, offset_src=0) == 300
import mmap
mmap.mmap(fd, 500, prot=mmap.PROT_READ)
"
    );
    python(&program, &files(&["in.txt", "*.copy"]), |payload| {
        assert_eq!(payload.known("in.txt.copy", Direction::Out).holes, [(0..400, Missing::Unreadable)]);
        let read = payload.known("in.txt", Direction::In);
        let unreadable = |end: u64| (0..end, Missing::Unreadable);
        assert_eq!((read.bytes.len(), read.holes), (0, vec![unreadable(400), unreadable(300), unreadable(500)]));
        assert_eq!(payload.known("pipe", Direction::Out).holes, []);
    });
}

#[test]
fn memory_that_is_not_there_any_more_is_a_hole_between_what_is() {
    // The middle page is given back to the kernel while the call waits, by the process that shares it.
    let program = format!(
        "{TEXT}
import array, fcntl, mmap, termios
r, w = os.pipe()
memory = mmap.mmap(-1, 3 * 4096)
memory[:] = text(3 * 4096)
fcntl.fcntl(w, 1031, 4096)
def wait_for_a_page():
    there = array.array('i', [0])
    while there[0] < 4096: fcntl.ioctl(r, termios.FIONREAD, there)
if os.fork() == 0:
    wait_for_a_page(); os.read(r, 4096)
    wait_for_a_page(); memory.madvise(mmap.MADV_REMOVE, 4096, 4096)
    left = 2 * 4096
    while left: left -= len(os.read(r, left))
    os._exit(0)
assert os.write(w, memory) == 3 * 4096
os.wait()
"
    );
    python(&program, &streams(&[]), |payload| {
        let known = payload.known("pipe", Direction::Out);
        let all = text(3 * 4096);
        assert_eq!(known.holes, [(4096..8192, Missing::Unreadable)]);
        assert_eq!(known.bytes, [&all[..4096], &all[8192..]].concat());
    });
}
