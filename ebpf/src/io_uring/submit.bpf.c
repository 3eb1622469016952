// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: requests to io_uring when they are made, and which system call would have done the same.
 *
 * Hook: raw_tp/io_uring_submit_req, in the submitter's context or in its submission
 * thread, which is of the same process. What was asked stands in the request by now, out of the submitter's reach.
 */
#include "requests.h"
#include "shapes.h"

/* enum io_uring_op; the numbers are the kernel's promise. */
enum {
	OP_NOP = 0,
	OP_READV = 1,
	OP_WRITEV = 2,
	OP_FSYNC = 3,
	OP_READ_FIXED = 4,
	OP_WRITE_FIXED = 5,
	OP_POLL_ADD = 6,
	OP_POLL_REMOVE = 7,
	OP_SYNC_FILE_RANGE = 8,
	OP_SENDMSG = 9,
	OP_RECVMSG = 10,
	OP_TIMEOUT = 11,
	OP_TIMEOUT_REMOVE = 12,
	OP_ACCEPT = 13,
	OP_ASYNC_CANCEL = 14,
	OP_LINK_TIMEOUT = 15,
	OP_CONNECT = 16,
	OP_OPENAT = 18,
	OP_CLOSE = 19,
	OP_FILES_UPDATE = 20,
	OP_STATX = 21,
	OP_READ = 22,
	OP_WRITE = 23,
	OP_FADVISE = 24,
	OP_MADVISE = 25,
	OP_SEND = 26,
	OP_RECV = 27,
	OP_OPENAT2 = 28,
	OP_EPOLL_CTL = 29,
	OP_SPLICE = 30,
	OP_PROVIDE_BUFFERS = 31,
	OP_REMOVE_BUFFERS = 32,
	OP_TEE = 33,
	OP_SHUTDOWN = 34,
	OP_FGETXATTR = 43,
	OP_GETXATTR = 44,
	OP_SOCKET = 45,
	OP_SEND_ZC = 47,
	OP_SENDMSG_ZC = 48,
	OP_FUTEX_WAIT = 51,
	OP_FUTEX_WAKE = 52,
	OP_FUTEX_WAITV = 53,
	OP_FIXED_FD_INSTALL = 54,
	OP_EPOLL_WAIT = 59,
	OP_READV_FIXED = 60,
	OP_WRITEV_FIXED = 61,
};

#define REQUEST_SELECTS_BUFFER (1 << 5)	 /* IOSQE_BUFFER_SELECT */
#define REQUEST_SAYS_NO_SUCCESS (1 << 6) /* IOSQE_CQE_SKIP_SUCCESS */
#define ACCEPT_MANY 1			 /* IORING_ACCEPT_MULTISHOT */
#define RECEIVE_MANY 2			 /* IORING_RECV_MULTISHOT */
#define BUNDLE 16			 /* IORING_RECVSEND_BUNDLE: one request may end several times */
#define SPLICE_FROM_SLOT (1U << 31)	 /* SPLICE_F_FD_IN_FIXED: the descriptor is the ring's own */

#define REQUEST_UNKNOWN 0xff

/* Whether an operation moves, opens and changes nothing. */
static __always_inline bool leaves_no_trace(__u32 operation)
{
	switch (operation) {
	case OP_NOP:
	case OP_FSYNC:
	case OP_POLL_ADD:
	case OP_POLL_REMOVE:
	case OP_SYNC_FILE_RANGE:
	case OP_TIMEOUT:
	case OP_TIMEOUT_REMOVE:
	case OP_ASYNC_CANCEL:
	case OP_LINK_TIMEOUT:
	case OP_FILES_UPDATE:
	case OP_STATX:
	case OP_FADVISE:
	case OP_MADVISE:
	case OP_EPOLL_CTL:
	case OP_PROVIDE_BUFFERS:
	case OP_REMOVE_BUFFERS:
	case OP_SHUTDOWN:
	case OP_FGETXATTR:
	case OP_GETXATTR:
	case OP_FUTEX_WAIT:
	case OP_FUTEX_WAKE:
	case OP_FUTEX_WAITV:
	case OP_FIXED_FD_INSTALL:
	case OP_EPOLL_WAIT:
		return true;
	}
	return false;
}

/* The images that made a request that is not followed, so that each says it once. */
struct unseen_key {
	__u64 start;
	__u32 tgid;
	__u32 exec;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct unseen_key);
	__type(value, __u8);
} unseen_said SEC(".maps");

static __always_inline void say_unseen(void *ctx, const struct request *request, __u32 operation, __u32 flags)
{
	struct unseen_key key = {.start = request->start, .tgid = request->tgid, .exec = request->exec};
	struct call_event event = {};
	__u8 one = 1;

	if (bpf_map_update_elem(&unseen_said, &key, &one, BPF_NOEXIST))
		return;
	event.header.size = sizeof(event);
	event.header.kind = EVENT_CALL;
	event.header.at = request->began;
	event.header.start = request->start;
	event.header.tgid = request->tgid;
	event.header.tid = request->tid;
	event.header.exec = request->exec;
	event.header.session = request->session;
	event.call = CALL_IO_URING_UNSEEN;
	event.arguments[0] = operation;
	event.arguments[1] = flags;
	emit_data(ctx, &event, sizeof(event), LOSS_CALL);
}

static __always_inline void note_transfer(struct request *request, struct io_kiocb *kiocb, __u32 at_file,
					  __u32 at_offset)
{
	struct io_rw *io = (struct io_rw *)kiocb;

	request->stage = EXIT_TRANSFER;
	request->arguments[1] = BPF_CORE_READ(io, addr);
	request->arguments[2] = BPF_CORE_READ(io, len);
	request->arguments[3] = BPF_CORE_READ(io, kiocb.ki_pos);
	request->number = request->arguments[3] == ~0ULL ? at_file : at_offset;
}

/* A message, or a buffer with its length; `flags_at` is the argument that has the flags in the call. */
static __always_inline bool note_message(struct request *request, struct io_kiocb *kiocb, __u32 number, __u32 flags_at)
{
	struct io_sr_msg *io = (struct io_sr_msg *)kiocb;

	request->stage = EXIT_TRANSFER;
	request->number = number;
	request->arguments[1] = (__u64)BPF_CORE_READ(io, buf);
	request->arguments[2] = BPF_CORE_READ(io, len);
	if (flags_at == 2)
		request->arguments[2] = BPF_CORE_READ(io, msg_flags);
	else
		request->arguments[3] = BPF_CORE_READ(io, msg_flags);
	return !(BPF_CORE_READ(io, flags) & BUNDLE);
}

static __always_inline bool receives_many(struct io_kiocb *kiocb)
{
	return BPF_CORE_READ((struct io_sr_msg *)kiocb, flags) & RECEIVE_MANY;
}

static __always_inline void note_splice(struct request *request, struct io_kiocb *kiocb, __u32 number)
{
	struct io_splice *io = (struct io_splice *)kiocb;

	request->stage = EXIT_COPY;
	request->number = number;
	request->arguments[0] = BPF_CORE_READ(io, splice_fd_in);
	request->arguments[1] = BPF_CORE_READ(io, off_in);
	request->arguments[3] = BPF_CORE_READ(io, off_out);
}

/* What the request asks for; false where its end will not show what it did. */
static __always_inline bool note_operation(struct request *request, struct io_kiocb *kiocb, __u32 operation)
{
	request->arguments[0] = FD_OF_REQUEST;
	switch (operation) {
	case OP_READ:
	case OP_READ_FIXED:
		note_transfer(request, kiocb, __NR_read, __NR_pread64);
		return true;
	case OP_READV:
	case OP_READV_FIXED:
		note_transfer(request, kiocb, __NR_readv, __NR_preadv);
		return true;
	case OP_WRITE:
	case OP_WRITE_FIXED:
		note_transfer(request, kiocb, __NR_write, __NR_pwrite64);
		return true;
	case OP_WRITEV:
	case OP_WRITEV_FIXED:
		note_transfer(request, kiocb, __NR_writev, __NR_pwritev);
		return true;
	case OP_SEND:
	case OP_SEND_ZC:
		return note_message(request, kiocb, __NR_sendto, 3);
	case OP_SENDMSG:
	case OP_SENDMSG_ZC:
		return note_message(request, kiocb, __NR_sendmsg, 2);
	case OP_RECV:
		return note_message(request, kiocb, __NR_recvfrom, 3) && !receives_many(kiocb);
	case OP_RECVMSG:
		return note_message(request, kiocb, __NR_recvmsg, 2) && !receives_many(kiocb);
	case OP_SPLICE:
		note_splice(request, kiocb, __NR_splice);
		return !(BPF_CORE_READ((struct io_splice *)kiocb, flags) & SPLICE_FROM_SLOT);
	case OP_TEE:
		note_splice(request, kiocb, __NR_tee);
		return !(BPF_CORE_READ((struct io_splice *)kiocb, flags) & SPLICE_FROM_SLOT);
	case OP_OPENAT:
	case OP_OPENAT2:
		request->stage = EXIT_OPEN;
		request->number = __NR_openat;
		request->arguments[2] = BPF_CORE_READ((struct io_open *)kiocb, how.flags);
		return !BPF_CORE_READ((struct io_open *)kiocb, file_slot);
	case OP_SOCKET:
		request->stage = EXIT_OPEN;
		request->number = __NR_socket;
		return !BPF_CORE_READ((struct io_socket *)kiocb, file_slot);
	case OP_ACCEPT:
		request->stage = EXIT_OPEN;
		request->number = __NR_accept4;
		return !BPF_CORE_READ((struct io_accept *)kiocb, file_slot) &&
		       !(BPF_CORE_READ((struct io_accept *)kiocb, iou_flags) & ACCEPT_MANY);
	case OP_CONNECT:
		request->stage = EXIT_CONNECT;
		request->number = __NR_connect;
		request->arguments[1] = (__u64)BPF_CORE_READ((struct io_connect *)kiocb, addr);
		request->arguments[2] = BPF_CORE_READ((struct io_connect *)kiocb, addr_len);
		return true;
	case OP_CLOSE:
		/* Of a descriptor of the ring's own nothing is known but that its file's entry is free for another. */
		request->number = __NR_close;
		if (!BPF_CORE_READ((struct io_close *)kiocb, file_slot))
			request->arguments[1] = (__u64)file_of(BPF_CORE_READ((struct io_close *)kiocb, fd));
		return true;
	}
	return false;
}

static __always_inline bool fill_who(struct request *request)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 tgid = pid_tgid >> 32;
	struct traced *process = bpf_map_lookup_elem(&tree, &tgid);

	if (!process || process->launching)
		return false;
	request->start = process->start;
	request->began = kernel_clock();
	request->tgid = tgid;
	request->tid = pid_tgid;
	request->exec = process->exec;
	request->session = process->session;
	return true;
}

SEC("raw_tp/io_uring_submit_req")
int agentsight_submit(__u64 *ctx)
{
	struct io_kiocb *kiocb = (struct io_kiocb *)ctx[0];
	struct request request = {};
	__u32 operation, flags;
	__u64 key = ctx[0];

	if (!fill_who(&request))
		return 0;
	operation = BPF_CORE_READ(kiocb, opcode);
	if (leaves_no_trace(operation))
		return 0;
	flags = BPF_CORE_READ(kiocb, flags);
	request.buffer_unknown = flags & REQUEST_SELECTS_BUFFER;
	if (!note_operation(&request, kiocb, operation) || flags & REQUEST_SAYS_NO_SUCCESS) {
		say_unseen(ctx, &request, operation, flags & 0xff);
		return 0;
	}
	if (bpf_map_update_elem(&requests, &key, &request, BPF_ANY)) {
		count_made(request.session, LOSS_BURST);
		count_lost(request.session, LOSS_BURST);
	}
	return 0;
}

/* There was no room for a request's end, and which request it was is not said. */
SEC("raw_tp/io_uring_cqe_overflow")
int agentsight_overflow(__u64 *ctx)
{
	struct request request = {};

	if (fill_who(&request))
		say_unseen(ctx, &request, REQUEST_UNKNOWN, 0);
	return 0;
}
