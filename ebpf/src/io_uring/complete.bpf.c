// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: the end of requests to io_uring, and leads each to the stages of the system call that would have done the same.
 *
 * Hook: raw_tp/io_uring_complete, in the context of whoever ends the request: its submitter, a thread of the kernel's
 * in the same process, or, when the process is going, one outside. The request still holds its file.
 */
#include "closes.h"
#include "requests.h"
#include "shapes.h"

#define REQUEST_CANCELED (-125) /* ECANCELED: it was not carried out */

/* A file has places to read and write at; a position in any other is meaningless, and the call would have none. */
static __always_inline bool has_places(struct file *file)
{
	__u16 type = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;

	return type == S_IFREG || type == S_IFBLK;
}

static __always_inline __u32 without_place(__u32 number)
{
	switch (number) {
	case __NR_pread64:
		return __NR_read;
	case __NR_preadv:
		return __NR_readv;
	case __NR_pwrite64:
		return __NR_write;
	case __NR_pwritev:
		return __NR_writev;
	}
	return number;
}

/* A datagram of a socket without a peer: the address was in the request, and its copy has no fixed place. */
static __always_inline bool goes_nobody_knows_where(struct file *file)
{
	struct sock *sock;
	__u16 family;

	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return false;
	sock = sock_of(file);
	family = BPF_CORE_READ(sock, __sk_common.skc_family);
	if (family == AF_UNIX)
		return !BPF_CORE_READ((struct unix_sock *)sock, peer);
	return (family == AF_INET || family == AF_INET6) && !BPF_CORE_READ(sock, __sk_common.skc_dport);
}

SEC(QUEUED)
int agentsight_complete(__u64 *ctx)
{
	struct io_kiocb *kiocb = (struct io_kiocb *)ctx[1];
	struct request *request;
	struct traced *process;
	struct file *file;
	struct call *call;
	__u64 key = ctx[1];
	__u32 stage;

	request = bpf_map_lookup_elem(&requests, &key);
	if (!request)
		return 0;
	call = queued_call();
	if (!call)
		return 0;
	file = BPF_CORE_READ(kiocb, file);
	call->now = kernel_clock();
	call->began = request->began;
	call->result = BPF_CORE_READ(kiocb, cqe.res);
	call->number = request->number;
	call->start = request->start;
	call->tgid = request->tgid;
	call->tid = request->tid;
	call->exec = request->exec;
	call->session = request->session;
	call->moves_count = 0;
	call->at = 0;
	call->then = 0;
	call->copies = 0;
	call->far.family = 0;
	call->request_file = (__u64)file;
	call->buffer_unknown = request->buffer_unknown;
	__builtin_memcpy(call->arguments, request->arguments, sizeof(call->arguments));
	stage = request->stage;
	call->stage = stage;
	if (call->number == __NR_sendto && call->result > 0 && goes_nobody_knows_where(file))
		say_unseen(ctx, request, OP_SEND, 0);
	bpf_map_delete_elem(&requests, &key);
	process = bpf_map_lookup_elem(&tree, &call->tgid);
	/* Its descriptors and its memory are out of reach where another process ends it. */
	if (!process || process->start != call->start || process->exec != call->exec ||
	    bpf_get_current_pid_tgid() >> 32 != call->tgid || call->result == REQUEST_CANCELED)
		return 0;
	switch (stage) {
	case EXIT_NOT_WANTED:
		file = (struct file *)call->arguments[1];
		if (file && !call->result && is_gone(file))
			end_open(ctx, call, file, CUT_CLOSE);
		return 0;
	case EXIT_COPY:
		if (call->result <= 0)
			return 0;
		add_copy(call, call->arguments[0], call->arguments[1], FD_OF_REQUEST, call->arguments[3], call->result);
		call->moves[0].peeks = call->number == __NR_tee;
		stage = STAGE_MOVE;
		break;
	case EXIT_TRANSFER:
		if (!has_places(file))
			call->number = without_place(call->number);
		break;
	}
	bpf_tail_call(ctx, &queued_stages, stage);
	return 0;
}
