/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Connects whose callers did not wait: from when TCP begins one to when its outcome is said. */
#ifndef AGENTSIGHT_CONNECTING_H
#define AGENTSIGHT_CONNECTING_H

#include "call_event.h"
#include "opens.h"

#define CANCELED 125 /* ECANCELED: closed by its owner before there was an outcome */

/* enum of include/net/tcp_states.h, which has been user space's as well since /proc/net/tcp. */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7

/*
 * A connect that TCP has begun. The call and the answer may meet on two CPUs: each writes its part, then counts its
 * step, then looks at the other's, so that whoever came second sees both.
 */
struct attempt {
	struct connect_event event; /* the call's part: who asked for what */
	__u32 error;		    /* the answer's */
	__u32 steps;
};

#define STEP_CALLED 1
#define STEP_ANSWERED 0x10000

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* struct sock * */
	__type(value, struct attempt);
} connecting SEC(".maps");

static __always_inline bool is_under_way(struct sock *sock)
{
	__u32 state = BPF_CORE_READ(sock, __sk_common.skc_state);

	return state == TCP_SYN_SENT || state == TCP_SYN_RECV;
}

/* Counts a step; says the outcome of a connect that nobody waited for when both are done. Whoever deletes it speaks. */
static __always_inline void step(void *ctx, __u64 key, struct attempt *attempt, __u32 step)
{
	struct connect_event event;
	__u32 steps;

	__sync_fetch_and_add(&attempt->steps, step);
	steps = *(volatile __u32 *)&attempt->steps;
	if (!(steps & (STEP_ANSWERED - 1)) || steps < STEP_ANSWERED)
		return;
	event = attempt->event;
	/* Not when TCP knew: that may be before the socket was announced. */
	event.header.at = kernel_clock();
	event.error = attempt->error;
	if (bpf_map_delete_elem(&connecting, &key))
		return;
	emit_data(ctx, &event, sizeof(event), LOSS_CONNECT);
}

static __always_inline void answer(void *ctx, struct sock *sock, struct attempt *attempt, bool failed)
{
	attempt->error = 0;
	if (failed) {
		attempt->error = BPF_CORE_READ(sock, sk_err);
		if (!attempt->error)
			attempt->error = CANCELED;
	}
	step(ctx, (__u64)sock, attempt, STEP_ANSWERED);
}

/* Says an outcome that TCP's tracepoint did not, of a socket that is about to go. */
static __always_inline void settle(void *ctx, struct file *file)
{
	struct sock *sock = sock_of(file);
	__u64 key = (__u64)sock;
	struct attempt *attempt = bpf_map_lookup_elem(&connecting, &key);

	if (attempt && attempt->steps && attempt->steps < STEP_ANSWERED && !is_under_way(sock))
		answer(ctx, sock, attempt, BPF_CORE_READ(sock, __sk_common.skc_state) == TCP_CLOSE);
}

#endif
