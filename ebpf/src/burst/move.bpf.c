// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * What a call moved, of each descriptor: which open file that is, whom this access meets there, and which bursts it
 * ends.
 *
 * Hook: sys_exit, and io_uring_complete, by tail calls from the programs of src/burst/transfer.bpf.c. Next: the stages
 * of src/burst/burst.bpf.c.
 */
#include "address.h"
#include "bursts.h"
#include "descriptor.h"
#include "shapes.h"

static __always_inline bool is_mapped(__u32 slot)
{
	return slot >= BURST_MAPPED_IN;
}

static __always_inline bool same_burst(const struct burst_key *one, const struct burst_key *other)
{
	return one->open == other->open && one->tgid == other->tgid && one->image == other->image;
}

static __always_inline void add_cut(struct call *call, const struct burst_key *key, __u32 why)
{
	__u32 at = call->cuts_count;

	if (at >= CUTS_MAX)
		return;
	call->cuts[at & (CUTS_MAX - 1)].key = *key;
	call->cuts[at & (CUTS_MAX - 1)].why = why;
	call->cuts_count = at + 1;
}

#define DNS_PORT_ON_WIRE __builtin_bswap16(53)
#define CONTROL_LENGTH_AT 40 /* in struct msghdr, 64-bit */

/* What is in the bytes matters where they go to or come from a name server, and what is beside them where it is files.
 */
static __always_inline void look_inside(struct call *call, struct file *file, const struct open_file *open)
{
	__u64 control = 0;
	__u16 port;

	if (open->object == OBJECT_INET) {
		port = BPF_CORE_READ(sock_of(file), __sk_common.skc_dport);
		/* Where the socket has no peer, the call has the address. */
		if (port == DNS_PORT_ON_WIRE || !port)
			call->then = STAGE_DATAGRAM;
	} else if (open->object == OBJECT_UNIX && (call->number == __NR_sendmsg || call->number == __NR_recvmsg)) {
		bpf_probe_read_user(&control, sizeof(control), (void *)(call->arguments[1] + CONTROL_LENGTH_AT));
		if (control)
			call->then = STAGE_PASS;
	}
}

static __always_inline void name_object(struct call *call, struct file *file, const struct open_file *open, __u32 slot)
{
	struct sock *sock, *peer;

	call->object.inode = open->inode;
	call->object.device = open->device;
	call->object.generation = open->generation;
	if (open->object != OBJECT_UNIX)
		return;
	/* A stream belongs to the socket that it is sent to. */
	sock = sock_of(file);
	call->object.generation = 0;
	if (is_out(slot)) {
		peer = BPF_CORE_READ((struct unix_sock *)sock, peer);
		/* Datagrams to whomever the call names: they are counted for their sender. */
		call->object.generation = !peer;
		sock = peer ? peer : sock;
	}
	call->object.inode = (__u64)sock;
	call->object.device = DEVICE_SOCK;
}

static __always_inline struct object *find_object(const struct object_key *key)
{
	struct object *object = bpf_map_lookup_elem(&objects, key);
	struct object fresh = {};

	if (object)
		return object;
	bpf_map_update_elem(&objects, key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&objects, key);
}

/* A file's versions: whose bursts this access ends, because another party read or wrote meanwhile. */
static __always_inline void meet_others_at_file(struct call *call, struct object *object, __u32 slot)
{
	__u64 party = call->key.open << 22 | call->tgid;
	bool out = is_out(slot);

	if (object->party != party) {
		if (out) {
			object->turn++;
			object->version++;
			if (object->reader.open)
				add_cut(call, &object->reader, CUT_OTHER_PARTY);
		} else if (object->party_wrote) {
			object->turn++;
		}
		if ((out || object->party_wrote) && object->writer.open && !same_burst(&object->writer, &call->key))
			add_cut(call, &object->writer, CUT_OTHER_PARTY);
		object->party = party;
	}
	object->party_wrote = out;
	if (out)
		object->writer = call->key;
	else
		object->reader = call->key;
	call->turn = object->turn;
}

/* A stream's offsets: each way counts for itself, and another image's bytes end the burst before them. */
static __always_inline void meet_others_at_stream(struct call *call, struct object *object, const struct move *move)
{
	struct burst_key *last = is_out(move->slot) ? &object->writer : &object->reader;
	__u64 *count = is_out(move->slot) ? &object->out : &object->in;

	if (last->open && !same_burst(last, &call->key))
		add_cut(call, last, CUT_OTHER_PARTY);
	*last = call->key;
	call->offset = *(volatile __u64 *)count;
	if (!move->peeks)
		__sync_fetch_and_add(count, move->bytes);
}

#define IPPROTO_UDP 17
#define SOCK_DGRAM 2
#define SUN_PATH_WORDS 27

/* Whom the call names: the bytes wait where the announcement is made, the mark stands in place of an internet address.
 */
static __always_inline void read_unix_far_end(struct call *call, const struct move *move)
{
	__u32 *mark = (__u32 *)call->far.ip, *words;
	struct open_scratch *scratch;
	__u32 zero = 0;

	scratch = bpf_map_lookup_elem(&open_scratch, &zero);
	if (!scratch)
		return;
	__builtin_memset(scratch->record.data, 0, UNIX_ADDRESS_BYTES_MAX);
	if (!read_user_address(&call->far, scratch->record.data, move->user_address, move->address_size)) {
		call->far.family = 0;
		return;
	}
	words = (__u32 *)scratch->record.data;
	for (int i = 0; i < SUN_PATH_WORDS; i++)
		mark[i & 3] = (mark[i & 3] ^ words[i]) * 0x01000193;
}

/*
 * Where a datagram of a socket without a peer went to, or came from. A burst over it is with one other end, for as
 * long as bursts may be cut: it is that end that the announcement before it names.
 */
static __always_inline bool know_far_end(struct call *call, struct file *file, const struct open_file *open,
					 const struct move *move, const struct burst *burst)
{
	call->turn = 0;
	__builtin_memset(&call->far, 0, sizeof(call->far));
	if (open->object == OBJECT_UNIX) {
		if (open->socket != SOCK_DGRAM || !is_out(move->slot) || !move->user_address ||
		    BPF_CORE_READ((struct unix_sock *)sock_of(file), peer))
			return true;
		read_unix_far_end(call, move);
	} else if (open->object != OBJECT_INET || open->socket != IPPROTO_UDP ||
		   BPF_CORE_READ(sock_of(file), __sk_common.skc_dport)) {
		return true;
	} else if (move->user_address)
		read_user_address(&call->far, NULL, move->user_address, sizeof(struct socket_address));
	call->turn = mark_of(&call->far);
	if (!call->turn || (burst && burst->turn != call->turn && call->now < burst->may_end_at)) {
		/* It is not said: what was said of it last holds on. */
		call->far.family = 0;
		if (burst)
			call->turn = burst->turn;
		return open->session != call->session;
	}
	return true;
}

static __always_inline void turn_round(struct call *call, struct open_file *open, __u32 slot)
{
	struct burst_key other = {.open = open->id};
	struct open_side *mine;
	__u64 side = slot;

	call->turned = open->facing != slot + 1 || call->now - open->last_at > SECOND;
	if (open->facing && open->facing != slot + 1) {
		other.tgid = open->sides[!slot].tgid;
		other.image = open->sides[!slot].image;
		add_cut(call, &other, CUT_DIRECTION);
	}
	open->facing = slot + 1;
	open->last_at = call->now;
	/* In this very place: before 5.12 the verifier forgets what it knew of a number that was put on the stack. */
	asm volatile("%0 &= 1" : "+r"(side));
	mine = &open->sides[side];
	mine->tgid = call->key.tgid;
	mine->image = call->key.image;
}

/* The image's inputs since its output last began, which end here: what went out may have followed from them. */
static __always_inline void end_intakes(struct call *call)
{
	struct intake_key key = {.tgid = call->tgid, .exec = call->exec};

	for (__u32 i = 0; i < INTAKES; i++) {
		__u32 source = call->flow_now - i;
		struct burst_key *intake;

		if (source <= call->flow_before || source > call->flow_now)
			break;
		key.slot = source % INTAKES;
		intake = bpf_map_lookup_elem(&intakes, &key);
		if (intake)
			add_cut(call, intake, CUT_FLOW);
	}
}

static __always_inline int move(__u64 *ctx, struct call *call, void *stages)
{
	struct open_file *open;
	struct traced *process;
	struct object *object;
	struct burst *burst;
	struct move *move;
	struct file *file;
	struct use *use;
	__u32 followed = 0;
	__u32 slot;
	bool flows;

	move = &call->moves[call->at & (MOVES_MAX - 1)];
	slot = move->slot & 3;
	move->burst = 0;
	process = bpf_map_lookup_elem(&tree, &call->tgid);
	file = file_in(call, move->fd);
	if (!process || !file)
		goto next;
	open = find_open(file);
	if (!open) {
		count_made(call->session, LOSS_OPEN);
		count_lost(call->session, LOSS_OPEN);
		goto next;
	}
	if (open->object == OBJECT_NONE)
		goto next;
	call->file = (__u64)file;
	call->object_kind = open->object;
	call->key.open = open->id;
	call->key.tgid = call->tgid;
	call->key.image = call->exec << 2 | slot;
	move->open = open->id;
	burst = bpf_map_lookup_elem(&bursts, &call->key);
	if (move->failed) {
		if (burst)
			__sync_fetch_and_add(&burst->sums.errors, 1);
		goto next;
	}
	if (know_far_end(call, file, open, move, burst))
		announce(ctx, call, file, open);
	look_inside(call, file, open);

	call->cuts_count = 0;
	call->cuts_done = 0;
	name_object(call, file, open, slot);
	object = find_object(&call->object);
	if (!object) {
		count_made(call->session, LOSS_BURST);
		count_lost(call->session, LOSS_BURST);
		goto next;
	}
	if (is_stream(open->object)) {
		meet_others_at_stream(call, object, move);
	} else {
		call->offset = move->offset;
		/* The file's own position has moved on by what was moved; a device's without places has not. */
		if (call->offset == ~0ULL) {
			call->offset = BPF_CORE_READ(file, f_pos);
			call->offset -= call->offset < move->bytes ? call->offset : move->bytes;
		}
		meet_others_at_file(call, object, slot);
	}
	if (!is_mapped(slot))
		turn_round(call, open, slot);

	call->flow_before = 0;
	call->flow_now = 0;
	if (burst) {
		followed = burst->followed;
	} else if (slot == BURST_OUT) {
		use = bpf_map_lookup_elem(&uses, &call->key);
		if (use)
			followed = use->followed;
	}
	flows = slot == BURST_OUT && process->sources != followed;
	if (burst) {
		__u32 why = CUT_SESSION;

		if (flows)
			why = CUT_FLOW;
		else if (burst->turn != call->turn)
			why = CUT_OTHER_PARTY;
		else if (call->began > burst->noted + SECOND)
			why = CUT_IDLE;
		else if (call->now - burst->sums.first > BURST_AGE_MAX)
			why = CUT_AGE;
		if (why != CUT_SESSION) {
			if (call->now < burst->may_end_at) {
				burst->sums.flags |= BURST_COALESCED;
				flows = false;
			} else {
				add_cut(call, &call->key, why);
				burst = NULL;
			}
		}
	}
	if (flows) {
		call->flow_before = followed;
		call->flow_now = process->sources;
		end_intakes(call);
	}
	if (call->cuts_count)
		bpf_tail_call(ctx, stages, STAGE_CUT);
	else if (!burst || call->copies)
		bpf_tail_call(ctx, stages, STAGE_COUNT);
	if (burst) {
		add_to(burst, call, move);
		move->burst = burst->sums.number;
	}
	go_on_from(ctx, call, open, move, stages);
	return 0;
next:
	go_on(ctx, call, stages);
	return 0;
}

STAGE(move)
