/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Requests to io_uring between their submission and their end.
 *
 * A request may end in another context than its submitter's, so who made it, and which system call would have done the
 * same, is kept by its address from the one tracepoint to the other.
 */
#ifndef AGENTSIGHT_REQUESTS_H
#define AGENTSIGHT_REQUESTS_H

#include "call.h"

/* Set by user space when both tracepoints are attached: the kernel has them, in a form that can be read. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} requests_followed SEC(".maps");

static __always_inline bool requests_are_followed(void)
{
	__u32 zero = 0;
	__u32 *followed = bpf_map_lookup_elem(&requests_followed, &zero);

	return followed && *followed;
}

struct request {
	__u64 start;
	__u64 began;
	__u64 arguments[6]; /* of the call that would have done the same */
	__u32 tgid;
	__u32 tid;
	__u32 exec;
	__u32 session;
	__u32 number; /* of that call */
	__u32 stage;  /* enum exit_stage; EXIT_COPY and EXIT_NOT_WANTED, for a close, are done where the request ends */
	__u32 buffer_unknown; /* it is chosen when the bytes are there */
	__u32 reserved;
};

/* An LRU, because a request whose ring has no room for its end is never heard of again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64); /* struct io_kiocb * */
	__type(value, struct request);
} requests SEC(".maps");

static __always_inline void say_call(void *ctx, const struct call *call, __u32 kind, __u64 first, __u64 second)
{
	struct call_event event = {};

	fill_header(&event.header, call, EVENT_CALL, sizeof(event));
	event.call = kind;
	event.arguments[0] = first;
	event.arguments[1] = second;
	event.error = call->result < 0 && call->result > -4096 ? -call->result : 0;
	emit_data(ctx, &event, sizeof(event), LOSS_CALL);
}

#endif
