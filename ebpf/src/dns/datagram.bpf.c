// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: what is sent to and received from port 53, over UDP and TCP: the first bytes of each message, from the caller's
 * buffer, when the call is over and the pages are there. User space keeps what was asked and answered, nothing else.
 *
 * Hook: sys_exit, by a tail call when all transfers of the call are counted (src/burst/).
 */
#include "address.h"
#include "bursts.h"
#include "call_event.h"
#include "descriptor.h"
#include "user_message.h"

#define DNS_PORT 53
#define IPPROTO_TCP 6
/* What resolvers themselves allow for over UDP, to be spared fragments (DNS flag day 2020). */
#define PAYLOAD_BYTES_MAX 1232
/* A power of two above it, so that a masked position and a whole payload fit behind each other. */
#define PAYLOAD_MASK 2047
#define PIECES_MAX 4
#define DATAGRAMS_MAX 4

struct datagram_record {
	struct datagram_event event;
	unsigned char payload[2 * (PAYLOAD_MASK + 1)];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct datagram_record);
} datagram_scratch SEC(".maps");

/* Appends what of a piece belongs to the message; false when there is no more room. */
static __always_inline bool append(struct datagram_record *record, __u64 user_base, __u64 length, __u64 left)
{
	__u64 used = record->event.captured;

	if (length > left)
		length = left;
	if (used >= PAYLOAD_BYTES_MAX)
		return false;
	if (length > PAYLOAD_BYTES_MAX - used)
		length = PAYLOAD_BYTES_MAX - used;
	/* The compiler knows these from the lines above, and would leave them out; old verifiers do not. */
	asm volatile("%0 &= %2\n\t%1 &= %2" : "+r"(length), "+r"(used) : "i"(PAYLOAD_MASK));
	if (bpf_probe_read_user(record->payload + used, length, (void *)user_base))
		return false;
	record->event.captured = used + length;
	return true;
}

static __always_inline void append_pieces(struct datagram_record *record, __u64 user_pieces, __u64 count)
{
	__u64 left = record->event.total;

	for (__u32 i = 0; i < PIECES_MAX; i++) {
		struct user_iovec piece;

		if (i >= count || !left)
			return;
		if (bpf_probe_read_user(&piece, sizeof(piece), (void *)(user_pieces + i * sizeof(piece))))
			return;
		if (!append(record, piece.base, piece.length, left))
			return;
		left -= piece.length < left ? piece.length : left;
	}
}

/*
 * The server, by the socket where it is connected, else by the address in the call; false where it is another port. Who
 * asks a server and then receives without wanting to know from whom takes it for the answer, and so does this.
 */
static __always_inline bool read_server(struct socket_address *server, struct sock *sock, struct open_file *open,
					__u64 user_address)
{
	read_peer(server, sock);
	if (server->port)
		return server->port == DNS_PORT;
	if (!user_address) {
		server->family = 0;
		return open->asked;
	}
	read_user_address(server, NULL, user_address, sizeof(struct socket_address));
	if (server->port != DNS_PORT)
		return false;
	open->asked = 1;
	return true;
}

static __always_inline void emit_datagram(void *ctx, struct datagram_record *record)
{
	__u64 size = record->event.captured;

	if (!size)
		return;
	if (size > PAYLOAD_BYTES_MAX)
		size = PAYLOAD_BYTES_MAX;
	size += sizeof(record->event);
	record->event.header.size = size;
	emit_data(ctx, record, size, LOSS_DATAGRAM);
}

static __always_inline void say_message(void *ctx, struct datagram_record *record, struct sock *sock,
					struct open_file *open, struct user_msghdr *message, __u64 bytes)
{
	if (!read_server(&record->event.server, sock, open, message->name))
		return;
	record->event.total = bytes;
	record->event.captured = 0;
	append_pieces(record, message->iov, message->iov_length);
	emit_datagram(ctx, record);
}

static __always_inline int datagram(__u64 *ctx, struct call *call, void *stages)
{
	struct datagram_record *record;
	struct datagram_event *event;
	struct user_mmsghdr message;
	struct open_file *open;
	struct move *move;
	struct file *file;
	struct sock *sock;
	__u32 zero = 0;
	__u64 user_address = 0;

	(void)stages;
	move = &call->moves[0];
	file = file_in(call, move->fd);
	record = bpf_map_lookup_elem(&datagram_scratch, &zero);
	if (!file || !record || !move->burst)
		return 0;
	open = bpf_map_lookup_elem(&opens, &call->file);
	if (!open || open->id != move->open)
		return 0;
	sock = sock_of(file);
	event = &record->event;
	__builtin_memset(event, 0, sizeof(*event));
	fill_header(&event->header, call, EVENT_DATAGRAM, 0);
	event->open = move->open;
	event->burst = move->burst;
	event->when = move->slot & 1 ? call->began : call->now;
	if (move->slot & 1)
		event->header.flags |= DATAGRAM_OUT;
	if (BPF_CORE_READ_BITFIELD_PROBED(sock, sk_protocol) == IPPROTO_TCP)
		event->header.flags |= DATAGRAM_STREAM;
	event->total = call->result;

	switch (call->number) {
	case __NR_sendto:
	case __NR_recvfrom:
		user_address = call->arguments[4];
		/* fall through */
	case __NR_read:
	case __NR_write:
		if (!read_server(&event->server, sock, open, user_address))
			return 0;
		append(record, call->arguments[1], call->arguments[2], event->total);
		emit_datagram(ctx, record);
		return 0;
	case __NR_readv:
	case __NR_writev:
		if (!read_server(&event->server, sock, open, 0))
			return 0;
		append_pieces(record, call->arguments[1], call->arguments[2]);
		emit_datagram(ctx, record);
		return 0;
	case __NR_sendmsg:
	case __NR_recvmsg:
		if (!bpf_probe_read_user(&message.message, sizeof(message.message), (void *)call->arguments[1]))
			say_message(ctx, record, sock, open, &message.message, call->result);
		return 0;
	case __NR_sendmmsg:
	case __NR_recvmmsg:
		for (int i = 0; i < DATAGRAMS_MAX; i++) {
			if (i >= call->result ||
			    bpf_probe_read_user(&message, sizeof(message),
						(void *)(call->arguments[1] + i * sizeof(message))))
				return 0;
			say_message(ctx, record, sock, open, &message.message, message.length);
		}
	}
	return 0;
}

STAGE(datagram)
