/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The open files that were seen, by the address of their struct file: dup, fork and SCM_RIGHTS then need no
 * book-keeping.
 *
 * The kernel uses an address again at once. So every call that makes an open file puts a new entry in the place of
 * whatever is there, and each use looks whether the inode is still the one that was noted.
 */
#ifndef AGENTSIGHT_OPENS_H
#define AGENTSIGHT_OPENS_H

#include "call.h"
#include "path.h"

/* Whether what goes over it is wanted. Decided once for each announcement (src/content/policy.bpf.c). */
enum capture {
	CAPTURE_UNDECIDED,
	CAPTURE_NOT,
	CAPTURE_WANTED,
};

struct open_side {
	__u32 tgid; /* whose burst was the last this way */
	__u32 image;
};

struct open_file {
	__u64 id;
	__u64 inode_at; /* struct inode * */
	__u64 inode;
	__u32 device;
	__u32 generation;
	__u32 object; /* enum object_kind */
	__u16 mode;
	__u16 socket;
	__u32 session; /* that it was announced to, 0: not yet */
	__u32 how;     /* OPEN_ */
	__u64 listener;
	__u64 ends;    /* sockets: a mark of the addresses that were announced */
	__u32 bursts;  /* how many began */
	__u32 asked;   /* a name server, which the socket is not connected to */
	__u32 facing;  /* slot of its last transfer, plus 1 */
	__u32 capture; /* enum capture */
	__u64 last_at; /* time of its last transfer */
	struct open_side sides[2];
#ifndef WITHOUT_CONTENTS
	__u32 chunks[2]; /* of payload, each way: how many were made */
#endif
};

/* One that is forgotten is announced again, as found open, when it is used again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64); /* struct file * */
	__type(value, struct open_file);
} opens SEC(".maps");

/* How many ids each CPU gave. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} open_ids SEC(".maps");

#define CPU_BITS 12

/* Atomic addition that also says the sum came with 5.12: the CPU's number makes two ids of the same moment differ. */
static __always_inline __u64 next_open_id(void)
{
	__u32 zero = 0;
	__u64 *given = bpf_map_lookup_elem(&open_ids, &zero);

	if (!given)
		return 0;
	__sync_fetch_and_add(given, 1);
	return *(volatile __u64 *)given << CPU_BITS | (bpf_get_smp_processor_id() & ((1 << CPU_BITS) - 1));
}

#define S_IFMT 00170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

#define ANON_INODE_FS_MAGIC 0x09041934
#define PID_FS_MAGIC 0x50494446
#define FMODE_CREATED 0x100000

static __always_inline struct sock *sock_of(struct file *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);

	return BPF_CORE_READ(socket, sk);
}

static __always_inline __u32 object_of_socket(struct file *file, struct open_file *open)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sock = BPF_CORE_READ(socket, sk);
	__u16 family = BPF_CORE_READ(sock, __sk_common.skc_family);

	if (family == AF_UNIX) {
		open->socket = BPF_CORE_READ(socket, type);
		return OBJECT_UNIX;
	}
	if (family == AF_INET || family == AF_INET6) {
		open->socket = BPF_CORE_READ_BITFIELD_PROBED(sock, sk_protocol);
		return OBJECT_INET;
	}
	return OBJECT_NONE;
}

static __always_inline __u32 object_of_device(struct inode *inode)
{
	__u32 major = BPF_CORE_READ(inode, i_rdev) >> 20;

	/* Consoles and serial lines, /dev/tty and /dev/ptmx, both ends of pseudo-terminals. */
	return major == 4 || major == 5 || (major >= 136 && major <= 143) ? OBJECT_TTY : OBJECT_FILE;
}

/* What a file is open on. */
static __always_inline void identify(struct file *file, struct open_file *open)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct super_block *super = BPF_CORE_READ(inode, i_sb);
	unsigned long magic = BPF_CORE_READ(super, s_magic);

	open->inode_at = (__u64)inode;
	open->inode = BPF_CORE_READ(inode, i_ino);
	open->generation = BPF_CORE_READ(inode, i_generation);
	open->device = BPF_CORE_READ(super, s_dev);
	open->mode = BPF_CORE_READ(inode, i_mode);
	switch (open->mode & S_IFMT) {
	case S_IFREG:
		open->object = magic == ANON_INODE_FS_MAGIC || magic == PID_FS_MAGIC ? OBJECT_NONE : OBJECT_FILE;
		break;
	case S_IFDIR:
	case S_IFBLK:
		open->object = OBJECT_FILE;
		break;
	case S_IFCHR:
		open->object = object_of_device(inode);
		break;
	case S_IFIFO:
		open->object = OBJECT_PIPE;
		break;
	case S_IFSOCK:
		open->object = object_of_socket(file, open);
		break;
	default:
		open->object = OBJECT_NONE;
	}
}

/* The entry of a file that a call of a traced process has just made. */
static __always_inline struct open_file *note_made(struct file *file, __u32 how, __u64 listener)
{
	__u64 key = (__u64)file;
	struct open_file fresh = {};

	fresh.id = next_open_id();
	fresh.how = how;
	fresh.listener = listener;
	identify(file, &fresh);
	bpf_map_update_elem(&opens, &key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&opens, &key);
}

/* The entry of a file that is used; NULL where the map had no room. */
static __always_inline struct open_file *find_open(struct file *file)
{
	__u64 key = (__u64)file;
	struct open_file *open = bpf_map_lookup_elem(&opens, &key);

	if (open && open->inode_at == (__u64)BPF_CORE_READ(file, f_inode))
		return open;
	return note_made(file, OPEN_FOUND, 0);
}

#define OPEN_DATA_BYTES_MAX 4352

struct open_record {
	struct open_event event;
	unsigned char data[OPEN_DATA_BYTES_MAX];
};

struct open_scratch {
	struct open_record record;
	__u32 used;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_scratch);
} open_scratch SEC(".maps");

static __always_inline void read_ends(struct sock *sock, struct open_event *event)
{
	__u16 family = BPF_CORE_READ(sock, __sk_common.skc_family);

	event->netns = BPF_CORE_READ(sock, __sk_common.skc_net.net, ns.inum);
	event->local.family = family;
	event->local.port = BPF_CORE_READ(sock, __sk_common.skc_num);
	event->remote.port = __builtin_bswap16(BPF_CORE_READ(sock, __sk_common.skc_dport));
	event->remote.family = event->remote.port ? family : 0;
	if (family == AF_INET) {
		BPF_CORE_READ_INTO((__u32 *)event->local.bytes, sock, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__u32 *)event->remote.bytes, sock, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO((struct in6_addr *)event->local.bytes, sock, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)event->remote.bytes, sock, __sk_common.skc_v6_daddr);
	}
}

/* Inode number of a socket that has a descriptor; one that waits for accept() has none. */
static __always_inline __u64 inode_of_sock(struct sock *sock)
{
	return BPF_CORE_READ(sock, sk_socket, file, f_inode, i_ino);
}

#define UNIX_ADDRESS_BYTES_MAX 128 /* sun_path has 108 */

static __always_inline void read_unix_end(struct sock *sock, struct open_scratch *scratch)
{
	struct unix_sock *self = (struct unix_sock *)sock;
	struct sock *peer = BPF_CORE_READ(self, peer);
	struct unix_address *address = BPF_CORE_READ(self, addr);
	__u32 length;

	scratch->record.event.peer = inode_of_sock(peer);
	if (!address)
		address = BPF_CORE_READ((struct unix_sock *)peer, addr);
	length = BPF_CORE_READ(address, len);
	/* The family, which comes first, is known. */
	if (!address || length <= 2 || length - 2 > UNIX_ADDRESS_BYTES_MAX - 1) {
		scratch->record.event.path.flags = PART_ABSENT;
		return;
	}
	length -= 2;
	/* The compiler knows this from the line above, and would leave it out; the verifier does not. */
	asm volatile("%0 &= 127" : "+r"(length));
	if (bpf_probe_read_kernel(scratch->record.data, length,
				  (void *)address + bpf_core_field_offset(struct unix_address, name) + 2)) {
		scratch->record.event.path.flags = PART_UNREADABLE;
		return;
	}
	scratch->used = length;
}

static __always_inline void read_path(struct file *file, struct open_scratch *scratch)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct path path, root;

	path.dentry = BPF_CORE_READ(file, f_path.dentry);
	path.mnt = BPF_CORE_READ(file, f_path.mnt);
	root.dentry = BPF_CORE_READ(task, fs, root.dentry);
	root.mnt = BPF_CORE_READ(task, fs, root.mnt);
	scratch->record.event.path.flags =
		walk_path(scratch->record.data, &scratch->used, OPEN_DATA_BYTES_MAX, &path, &root);
}

/* Of an address one number, 0 where there is none. */
static __always_inline __u32 mark_of(const struct socket_address *address)
{
	const __u32 *words = (const __u32 *)address->ip;

	if (!address->family)
		return 0;
	return (address->port * 0x9e3779b1U + words[0] + words[1] * 3 + words[2] * 5 + words[3] * 7) | 1;
}

/* What an announcement of a socket would say, in one number: when it differs, it is announced again. */
static __always_inline __u64 ends_of(struct file *file, __u32 object)
{
	struct sock *sock;

	if (object != OBJECT_UNIX && object != OBJECT_INET)
		return 0;
	sock = sock_of(file);
	if (object == OBJECT_UNIX)
		return inode_of_sock(BPF_CORE_READ((struct unix_sock *)sock, peer)) + 1;
	return ((__u64)BPF_CORE_READ(sock, __sk_common.skc_num) << 48 |
		(__u64)BPF_CORE_READ(sock, __sk_common.skc_dport) << 32) +
	       BPF_CORE_READ(sock, __sk_common.skc_daddr) + 1;
}

/* Says what the open file is, unless its session knows; call this before any other record that names it. */
static __always_inline void announce(void *ctx, const struct call *call, struct file *file, struct open_file *open)
{
	__u64 ends = ends_of(file, open->object) + mark_of(&call->far);
	struct open_scratch *scratch;
	__u32 zero = 0;
	__u64 size;

	if (open->session == call->session && open->ends == ends)
		return;
	scratch = bpf_map_lookup_elem(&open_scratch, &zero);
	if (!scratch)
		return;
	__builtin_memset(&scratch->record.event, 0, sizeof(scratch->record.event));
	scratch->used = 0;
	fill_header(&scratch->record.event.header, call, EVENT_OPEN, 0);
	scratch->record.event.header.flags = open->how;
	scratch->record.event.open = open->id;
	scratch->record.event.listener = open->listener;
	scratch->record.event.inode = open->inode;
	scratch->record.event.device = open->device;
	scratch->record.event.generation = open->generation;
	scratch->record.event.object = open->object;
	scratch->record.event.mode = open->mode;
	scratch->record.event.socket = open->socket;
	if (open->object == OBJECT_INET) {
		read_ends(sock_of(file), &scratch->record.event);
		if (call->far.family) {
			scratch->record.event.remote.family = call->far.family;
			scratch->record.event.remote.port = call->far.port;
			__builtin_memcpy(scratch->record.event.remote.bytes, call->far.ip, sizeof(call->far.ip));
		}
	} else if (open->object == OBJECT_UNIX && call->far.family == AF_UNIX)
		scratch->used = call->far.length & (UNIX_ADDRESS_BYTES_MAX - 1);
	else if (open->object == OBJECT_UNIX)
		read_unix_end(sock_of(file), scratch);
	else
		read_path(file, scratch);
	size = scratch->used;
	if (size > OPEN_DATA_BYTES_MAX)
		size = OPEN_DATA_BYTES_MAX;
	scratch->record.event.path.length = size;
	size += sizeof(struct open_event);
	scratch->record.event.header.size = size;
	if (emit_data(ctx, &scratch->record, size, LOSS_OPEN)) {
		open->session = call->session;
		open->ends = ends;
#ifndef WITHOUT_CONTENTS
		open->capture = CAPTURE_UNDECIDED;
#endif
		/* What the call did to the file is said once. */
		open->how &= OPEN_FOUND;
	}
}

#endif
