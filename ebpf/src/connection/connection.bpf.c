// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: what became of every connect: at once, or, where the call did not wait for it, when TCP knew.
 *
 * Hooks: sys_exit, by a tail call from src/syscall/exit.bpf.c, and raw_tp/inet_sock_set_state, which the protocol runs
 * through in whatever context the answer came. Who had called is kept by the address of the socket's struct sock.
 */
#include "address.h"
#include "call_event.h"
#include "descriptor.h"
#include "opens.h"

#define EINTR 4
#define ALREADY 114	  /* EALREADY: asked again while it is under way */
#define IS_CONNECTED 106  /* EISCONN: asked again when it was done */
#define IN_PROGRESS 115	  /* EINPROGRESS */
#define CANCELED 125	  /* ECANCELED: closed by its owner before there was an outcome */
#define RESTART_FIRST 512 /* ERESTARTSYS and its kin: a signal came, and it goes on without the caller */
#define RESTART_LAST 516

/* enum of include/net/tcp_states.h, which has been user space's as well since /proc/net/tcp. */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* struct sock * */
	__type(value, struct connect_event);
} connecting SEC(".maps");

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

static __always_inline __u32 state_of(struct sock *sock)
{
	return BPF_CORE_READ(sock, __sk_common.skc_state);
}

/* Says the outcome of a connect that nobody waited for; whoever deletes it speaks. */
static __always_inline void say_outcome(void *ctx, struct sock *sock, __u32 state)
{
	struct connect_event *waiting, event;
	__u64 key = (__u64)sock;

	waiting = bpf_map_lookup_elem(&connecting, &key);
	if (!waiting)
		return;
	event = *waiting;
	if (bpf_map_delete_elem(&connecting, &key))
		return;
	event.header.at = kernel_clock();
	event.error = 0;
	if (state == TCP_CLOSE) {
		event.error = BPF_CORE_READ(sock, sk_err);
		if (!event.error)
			event.error = CANCELED;
	}
	emit_data(ctx, &event, sizeof(event), LOSS_CONNECT);
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
		key = (__u64)sock;
		if (bpf_map_update_elem(&connecting, &key, &record->event, BPF_ANY)) {
			count_made(call->session, LOSS_CONNECT);
			count_lost(call->session, LOSS_CONNECT);
			return 0;
		}
		/* On this host the answer may have been quicker than the call. */
		if (state_of(sock) != TCP_SYN_SENT && state_of(sock) != TCP_SYN_RECV)
			say_outcome(ctx, sock, state_of(sock));
		return 0;
	}
	length &= UNIX_ADDRESS_BYTES_MAX - 1;
	record->event.header.size = sizeof(record->event) + length;
	emit_data(ctx, record, sizeof(record->event) + length, LOSS_CONNECT);
	return 0;
}

STAGE(connect)

SEC("raw_tp/inet_sock_set_state")
int agentsight_connected(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sock = (struct sock *)((__u64 *)ctx)[0];
	int before = ((__u64 *)ctx)[1];
	int state = ((__u64 *)ctx)[2];

	if (before == TCP_SYN_SENT && (state == TCP_ESTABLISHED || state == TCP_CLOSE))
		say_outcome(ctx, sock, state);
	return 0;
}
