// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: what became of every connect: at once, or, where the call did not wait for it, when TCP knew.
 *
 * Hooks: sys_exit, by a tail call from src/syscall/exit.bpf.c, and raw_tp/inet_sock_set_state, which the protocol runs
 * through in whatever context the answer came. Who had called is kept by the address of the socket's struct sock.
 */
#include "address.h"
#include "connecting.h"
#include "descriptor.h"
#include "opens.h"

#define EINTR 4
#define ALREADY 114	  /* EALREADY: asked again while it is under way */
#define IS_CONNECTED 106  /* EISCONN: asked again when it was done */
#define IN_PROGRESS 115	  /* EINPROGRESS */
#define RESTART_FIRST 512 /* ERESTARTSYS and its kin: a signal came, and it goes on without the caller */
#define RESTART_LAST 516

struct connect_record {
	struct connect_event event;
	unsigned char unix_address[UNIX_ADDRESS_BYTES_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct connect_record);
} connect_scratch SEC(".maps");

/* The caller goes on without the outcome. */
static __always_inline void leave(void *ctx, struct sock *sock, const struct connect_event *event)
{
	struct attempt *attempt, fresh = {};
	__u64 key = (__u64)sock;

	attempt = bpf_map_lookup_elem(&connecting, &key);
	/* Not seen from its beginning: sent with the first bytes (TCP Fast Open), or begun before the tracing. */
	if (!attempt) {
		bpf_map_update_elem(&connecting, &key, &fresh, BPF_ANY);
		attempt = bpf_map_lookup_elem(&connecting, &key);
	}
	if (!attempt) {
		count_made(event->header.session, LOSS_CONNECT);
		count_lost(event->header.session, LOSS_CONNECT);
		return;
	}
	attempt->event = *event;
	/* On this host the answer may have been quicker than the call. */
	if (!attempt->steps && !is_under_way(sock))
		answer(ctx, sock, attempt, BPF_CORE_READ(sock, __sk_common.skc_state) == TCP_CLOSE);
	step(ctx, key, attempt, STEP_CALLED);
}

static __always_inline int connect(__u64 *ctx, struct call *call, void *stages)
{
	struct connect_record *record;
	struct open_file *open;
	struct file *file;
	struct sock *sock;
	__u32 zero = 0;
	__u64 error, key;
	__u32 length;
	bool waits;

	(void)stages;
	file = file_in(call, call->arguments[0]);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	open = find_open(file);
	record = bpf_map_lookup_elem(&connect_scratch, &zero);
	if (!open || !record) {
		count_made(call->session, LOSS_CONNECT);
		count_lost(call->session, LOSS_CONNECT);
		return 0;
	}
	if (open->object != OBJECT_INET && open->object != OBJECT_UNIX)
		return 0;
	error = -call->result;
	if (call->result >= 0)
		error = 0;
	if (error == ALREADY || error == IS_CONNECTED)
		return 0;
	sock = sock_of(file);
	waits = error == IN_PROGRESS || error == EINTR || (error >= RESTART_FIRST && error <= RESTART_LAST);
	announce(ctx, call, file, open);

	__builtin_memset(&record->event, 0, sizeof(record->event));
	fill_header(&record->event.header, call, EVENT_CONNECT, sizeof(record->event));
	record->event.open = open->id;
	record->event.began = call->began;
	record->event.error = error;
	length = read_user_address(&record->event.to, record->unix_address, call->arguments[1], call->arguments[2]);
	/* A socket that is told to forget its peer. */
	if (!record->event.to.family)
		return 0;
	if (open->object == OBJECT_INET && (!error || waits))
		read_peer(&record->event.to, sock);
	if (open->object == OBJECT_INET && waits) {
		leave(ctx, sock, &record->event);
		return 0;
	}
	if (open->object == OBJECT_INET) {
		key = (__u64)sock;
		bpf_map_delete_elem(&connecting, &key);
	}
	length &= UNIX_ADDRESS_BYTES_MAX - 1;
	record->event.header.size = sizeof(record->event) + length;
	emit_data(ctx, record, sizeof(record->event) + length, LOSS_CONNECT);
	return 0;
}

STAGE(connect)

static __always_inline int see_state(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sock = (struct sock *)((__u64 *)ctx)[0];
	int before = ((__u64 *)ctx)[1];
	int state = ((__u64 *)ctx)[2];
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct attempt *attempt, fresh = {};
	__u64 key = (__u64)sock;

	/* By the caller itself, before anything is sent that could be answered. */
	if (state == TCP_SYN_SENT) {
		if (bpf_map_lookup_elem(&tree, &tgid))
			bpf_map_update_elem(&connecting, &key, &fresh, BPF_ANY);
		return 0;
	}
	if (before != TCP_SYN_SENT || (state != TCP_ESTABLISHED && state != TCP_CLOSE))
		return 0;
	attempt = bpf_map_lookup_elem(&connecting, &key);
	if (attempt && attempt->steps < STEP_ANSWERED)
		answer(ctx, sock, attempt, state == TCP_CLOSE);
	return 0;
}

/*
 * Twice, because a packet may come in while a program sees a state that the running task set: the kernel skips for the
 * interrupt's state whichever was interrupted, and the other sees it. Nothing interrupts the interrupt with a third.
 */
SEC("raw_tp/inet_sock_set_state")
int agentsight_connected(struct bpf_raw_tracepoint_args *ctx)
{
	return see_state(ctx);
}

SEC("raw_tp/inet_sock_set_state")
int agentsight_connected_again(struct bpf_raw_tracepoint_args *ctx)
{
	return see_state(ctx);
}
