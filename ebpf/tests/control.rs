//! What the programs say of signals, waits, passed descriptors and telling calls. Needs root.

mod observe;

use std::collections::BTreeSet;

use agentsight_ebpf::{Call, CallKind, Event, Fork, Kill, Pass, PassSide, ProcessKey, Wait};
use observe::on_both;

fn forks(events: &[Event]) -> Vec<&Fork> {
    events.iter().filter_map(|event| if let Event::Fork(it) = event { Some(it) } else { None }).collect()
}

fn kills(events: &[Event]) -> Vec<&Kill> {
    events.iter().filter_map(|event| if let Event::Kill(it) = event { Some(it) } else { None }).collect()
}

fn waits(events: &[Event]) -> Vec<&Wait> {
    events.iter().filter_map(|event| if let Event::Wait(it) = event { Some(it) } else { None }).collect()
}

fn passes(events: &[Event]) -> Vec<&Pass> {
    events.iter().filter_map(|event| if let Event::Pass(it) = event { Some(it) } else { None }).collect()
}

fn calls(events: &[Event]) -> Vec<&Call> {
    events.iter().filter_map(|event| if let Event::Call(it) = event { Some(&**it) } else { None }).collect()
}

fn child(events: &[Event], number: usize) -> ProcessKey {
    forks(events)[number].process
}

#[test]
fn every_signal_names_who_sent_it_and_who_got_it() {
    let program = "
import os, signal, time
def child():
    process = os.fork()
    if not process:
        time.sleep(60)
        os._exit(0)
    return process
one, two = child(), child()
os.kill(one, 0)
os.kill(one, signal.SIGUSR1)
os.kill(two, signal.SIGSTOP)
fd = os.pidfd_open(two)
signal.pidfd_send_signal(fd, signal.SIGKILL)
os.waitpid(one, 0)
os.waitpid(two, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
import ctypes
libc, timer = ctypes.CDLL(None), ctypes.c_void_p()
assert libc.timer_create(1, None, ctypes.byref(timer)) == 0
assert libc.timer_settime(timer, 0, (ctypes.c_long * 4)(0, 1000000, 0, 1000000), None) == 0
end = time.monotonic() + 0.05
while time.monotonic() < end: pass
";
    on_both(program, |events| {
        let said: Vec<_> = kills(events).iter().map(|kill| (kill.by.process, kill.target, kill.signal)).collect();
        let [root, one, two] = [0, 1, 2].map(|number| child(events, number));
        // Signal 0 is a question; the kernel's own SIGCHLD and a timer's SIGALRM are nobody's.
        assert_eq!(said, [(root, one, 10), (root, two, 19), (root, two, 9)]);
    });
}

#[test]
fn a_signal_to_a_group_reaches_each_of_it() {
    let program = "
import os, signal, time
os.setpgid(0, 0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
children = []
for _ in range(3):
    process = os.fork()
    if not process:
        signal.pause()
    children.append(process)
os.kill(0, signal.SIGTERM)
for process in children:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
";
    on_both(program, |events| {
        let targets: BTreeSet<_> = kills(events).iter().filter(|kill| kill.signal == 15).map(|it| it.target).collect();
        let family: BTreeSet<_> = forks(events).iter().map(|fork| fork.process).collect();
        assert_eq!((targets.len(), targets), (4, family));
    });
}

#[test]
fn a_wait_names_the_child_that_ended_and_not_one_that_stopped() {
    let program = "
import os, signal
ends, end = os.pipe()
stopped = os.fork()
if not stopped:
    os.kill(os.getpid(), signal.SIGSTOP)
    os.read(ends, 1)
    os._exit(0)
os.waitpid(stopped, os.WUNTRACED)
os.kill(stopped, signal.SIGCONT)
os.waitpid(stopped, os.WCONTINUED)
os.write(end, b'.')
os.waitpid(stopped, 0)
by_id = os.fork()
if not by_id: os._exit(3)
os.waitid(os.P_PID, by_id, os.WEXITED)
try: os.waitpid(-1, 0)
except ChildProcessError: pass
";
    on_both(program, |events| {
        let root = child(events, 0);
        let said: Vec<_> = waits(events).iter().map(|wait| (wait.by.process, wait.child_vpid)).collect();
        assert_eq!(said, [1, 2].map(|number| (root, forks(events)[number].vpid)));
    });
}

#[test]
fn a_passed_descriptor_is_one_open_file_at_both_ends() {
    let program = "
import os, socket, array, tempfile, ctypes
left, right = socket.socketpair()
first, second = tempfile.TemporaryFile(), tempfile.TemporaryFile()
first.write(b'x'); first.flush(); second.write(b'y'); second.flush()
process = os.fork()
if not process:
    left.close()
    right.recv(15, socket.MSG_WAITALL)
    message, fds, _, _ = socket.recv_fds(right, 10, 4)
    assert len(fds) == 2
    os.pread(fds[0], 1, 0)
    os._exit(0)
right.close()
left.send(b'nothing with it')
socket.send_fds(left, [b'here'], [first.fileno(), second.fileno()])
os.waitpid(process, 0)
fd = os.pidfd_open(os.getpid())
assert ctypes.CDLL(None).syscall(438, fd, second.fileno(), 0) >= 0
";
    on_both(program, |events| {
        let said = passes(events);
        let sent: Vec<_> = said.iter().filter(|pass| pass.side == PassSide::Sent).map(|pass| pass.open).collect();
        let over = said.iter().filter(|it| it.side == PassSide::Received && it.over.is_some());
        let received: Vec<_> = over.map(|pass| pass.open).collect();
        assert_eq!((sent.len(), &sent), (2, &received), "{said:?}");
        let taken: Vec<_> = said.iter().filter(|pass| pass.over.is_none()).collect();
        assert_eq!((taken.len(), taken[0].side, taken[0].open), (1, PassSide::Received, sent[1]));
        // The burst that each went over began before.
        for pass in said.iter().filter_map(|pass| pass.over.map(|over| (over, pass.at))) {
            let begun = |event: &Event| matches!(event, Event::BurstBegin(it) if it.burst == pass.0 && it.at <= pass.1);
            assert!(events.iter().any(begun), "{pass:?}");
        }
        for pass in said {
            let opened = |event: &Event| matches!(event, Event::Open(it) if it.open == pass.open && it.at <= pass.at);
            assert!(events.iter().any(opened), "{pass:?}");
        }
    });
}

#[test]
fn telling_calls_are_said_with_their_arguments_and_outcome() {
    let program = "
import ctypes, mmap, os, socket, struct, tempfile
libc = ctypes.CDLL(None, use_errno=True)
server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen(77)
os.memfd_create('m')
params = ctypes.create_string_buffer(120)
libc.syscall(425, 8, params)
file = tempfile.TemporaryFile()
file.truncate(8192)
mmap.mmap(file.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=4096)
mmap.mmap(-1, 12288)
mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, 4096, 0o1600)
libc.shmat(segment, None, 0)
libc.shmat(segment, None, 0o10000)
libc.shmctl(segment, 0, None)
process = os.fork()
if not process:
    libc.unshare(0x04000000)
    os.chroot('/')
    libc.syscall(165, b'/nowhere', b'/nowhere', b'tmpfs', 0, 0)
    libc.syscall(313, -1, b'', 0)
    libc.syscall(321, 12345, 0, 0)
    libc.ptrace(0, 0, 0, 0)
    libc.ptrace(7, 1, 0, 0)
    os.setegid(7)
    os.setuid(0)
    os.setresuid(8, 8, 8)
    os._exit(0)
os.waitpid(process, 0)
local = ctypes.create_string_buffer(8)
vector = struct.pack('QQ', ctypes.addressof(local), 8)
libc.process_vm_readv(os.getpid(), vector, 1, vector, 1, 0)
libc.process_vm_writev(os.getpid(), vector, 1, vector, 1, 0)
";
    on_both(program, |events| {
        use CallKind::{
            Bind, Bpf, Chroot, IoUringFollowed, IoUringSetup, Listen, LoadModule, MapShared, MemfdCreate, Mount,
            Namespaces, ProcessVmReadv, ProcessVmWritev, Ptrace, Setgid, Setuid,
        };
        let mut said: Vec<_> = calls(events).iter().map(|call| (call.kind, call.arguments, call.error)).collect();
        let port = said.iter().find(|(kind, ..)| *kind == Bind).expect("it was bound").1[0];
        assert!(port > 0);
        // Whether a kernel lets us have rings is its own affair.
        for (kind, _, error) in said.iter_mut().filter(|it| matches!(it.0, IoUringSetup | IoUringFollowed)) {
            (*kind, *error) = (IoUringSetup, 0);
        }
        let root = u64::from(child(events, 0).tgid.0);
        let expected = [
            (Bind, [port, 0], 0),
            (Listen, [77, port], 0),
            (MemfdCreate, [0, 0], 0),
            (IoUringSetup, [8, 0], 0),
            (MapShared, [4096, 4096], 0),
            (MapShared, [12288, 0], 0),
            (MapShared, [0, 0], 0),
            (Namespaces, [0x0400_0000, 0], 0),
            (Chroot, [0, 0], 0),
            (Mount, [0, 0], 2),
            (LoadModule, [0, 0], 9),
            (Bpf, [12345, 0], 22),
            (Ptrace, [0, 0], 0),
            (Setgid, [7, 0], 0),
            (Setuid, [8, 0], 0),
            (ProcessVmReadv, [8, root], 0),
            (ProcessVmWritev, [8, root], 0),
        ];
        for (said, expected) in said.iter().zip(&expected) {
            let is_load = said.0 == LoadModule;
            assert!(said == expected || is_load && said.2 > 0, "{said:?}, expected {expected:?}");
        }
        assert_eq!(said.len(), expected.len(), "{said:?}");
    });
}

/// A 32-bit program without a C library: open, read twice, close, exit, by calls of its own numbers.
const BITS32: &str = r#"
static int call(int number, int first, int second, int third)
{
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
	return result;
}
static char path[] = "/etc/passwd", bytes[9];
void _start(void)
{
	int fd = call(5, (int)path, 0, 0);
	call(3, fd, (int)bytes, 4);
	call(3, fd, (int)bytes, 4);
	call(6, fd, 0, 0);
	call(1, 0, 0, 0);
}
"#;

#[test]
fn each_32_bit_call_is_said_once_a_process() {
    let folder = std::env::temp_dir().join(format!("agentsight-bits32-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the directory for temporary files is ours");
    let (source, binary) = (folder.join("bits32.c"), folder.join("bits32"));
    std::fs::write(&source, BITS32).expect("the directory is ours");
    let built = std::process::Command::new("gcc")
        .args(["-m32", "-nostdlib", "-static", "-fno-stack-protector", "-fno-pie", "-no-pie", "-o"])
        .args([&binary, &source])
        .status();
    assert!(built.expect("gcc is installed").success());
    let program =
        format!("import os; os.spawnl(os.P_WAIT, {binary:?}, 'bits32'); os.spawnl(os.P_WAIT, {binary:?}, 'bits32')");
    on_both(&program, |events| {
        let compat = calls(events).into_iter().filter(|call| call.kind == CallKind::CompatCall);
        let said: Vec<_> = compat.map(|call| (call.by.process, call.arguments[0])).collect();
        // exit has no end to be seen at.
        let expected: Vec<_> =
            [1, 2].into_iter().flat_map(|n| [5, 3, 6].map(|number| (child(events, n), number))).collect();
        assert_eq!(said, expected);
    });
    std::fs::remove_dir_all(&folder).expect("it is there");
}
