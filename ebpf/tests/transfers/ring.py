# A ring of io_uring without a library, for the programs of requests.rs; the scenarios have copies of it.
import ctypes, mmap, os, struct
libc = ctypes.CDLL(None, use_errno=True)
READV, WRITEV, ACCEPT, CONNECT, OPENAT, CLOSE, READ, WRITE = 1, 2, 13, 16, 18, 19, 22, 23
SEND, RECV, SPLICE, UNLINKAT, SOCKET = 26, 27, 30, 36, 45
LINK, ASYNC = 4, 16  # flags of a request
SQPOLL = 2  # of a ring
class Ring:
    def __init__(self, flags=0):
        params = bytearray(struct.pack("<3I", 8, 0, flags).ljust(120, b"\0"))
        self.fd = libc.syscall(425, 8, (ctypes.c_char * 120).from_buffer(params))
        assert self.fd >= 0, os.strerror(ctypes.get_errno())
        self.sq, self.cq = struct.unpack_from("<7I", params, 40), struct.unpack_from("<6I", params, 80)
        self.ring = mmap.mmap(self.fd, max(self.sq[6] + 8 * 4, self.cq[5] + 16 * 16))
        self.sqes = mmap.mmap(self.fd, 8 * 64, offset=0x10000000)
        self.waiting = 0
    # `more` is the operation's own flags; `slot` a direct descriptor, counted from 1, or what a splice reads from.
    def put(self, op, fd=-1, buf=None, off=0, size=None, flags=0, more=0, slot=0):
        at = ctypes.addressof(ctypes.c_char.from_buffer(buf)) if isinstance(buf, bytearray) else buf or 0
        size = size if size is not None else len(buf or b"")
        tail, = struct.unpack_from("<I", self.ring, self.sq[1])
        sqe = struct.pack("<BBHiQQIIQHHI", op, flags, 0, fd, off % 2**64, at % 2**64, size, more, 0, 0, 0, slot % 2**32)
        self.sqes[tail % 8 * 64:tail % 8 * 64 + 64] = sqe.ljust(64, b"\0")
        struct.pack_into("<I", self.ring, self.sq[6] + tail % 8 * 4, tail % 8)
        struct.pack_into("<I", self.ring, self.sq[1], tail + 1)
        self.waiting += 1
    # What became of all that was put since the last time.
    def go(self):
        submit = count = self.waiting
        done = (0, 0)
        while done[1] - done[0] < count:
            got = libc.syscall(426, self.fd, submit, count, 3, 0, 0)
            assert got >= 0 or ctypes.get_errno() == 4, os.strerror(ctypes.get_errno())
            submit -= max(got, 0)
            done = [struct.unpack_from("<I", self.ring, at)[0] for at in self.cq[:2]]
        ends = [struct.unpack_from("<i", self.ring, self.cq[5] + at % 16 * 16 + 8)[0] for at in range(*done)]
        struct.pack_into("<I", self.ring, self.cq[0], done[1])
        self.waiting = 0
        return ends
    def do(self, *words, **named):
        self.put(*words, **named)
        return self.go()[0]
def path(text):
    return bytearray(text.encode() + b"\0")
