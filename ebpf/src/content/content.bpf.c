// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: the bytes that a call moved, in the caller's buffers, when the call is over and the pages are there.
 *
 * Hook: sys_exit and io_uring_complete, by tail calls from src/burst/move.bpf.c and burst.bpf.c, after the transfer is
 * counted, so that its burst is known. Nothing waits here: where the ring is full, that is said, and the rest of the
 * call is left out.
 */
#include "contents.h"
#include "shapes.h"
#include "user_message.h"

#define MINUTE (60 * SECOND)
/* The smallest of any machine. */
#define PAGE_BYTES 4096

/* So many steps a program makes, and then tail-calls itself: the verifier walks every one. */
#define STEPS_PER_CALL 40
/* So often at most: the stages before and behind it need the rest of the 33 that the kernel allows. */
#define ROUNDS_MAX 12

/* Numbers that were given, as for bursts: two threads that read from one open file never give one twice. */
struct chunk_claim {
	__u64 open;
	__u32 number;
	__u32 out;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct chunk_claim);
	__type(value, __u8);
} chunk_claims SEC(".maps");

#define CHUNK_CLAIMS_TRIED 4

static __always_inline __u32 next_chunk(struct open_file *open, __u64 out)
{
	struct chunk_claim claim = {.open = open->id, .out = out};
	__u8 one = 1;

	for (int i = 0; i < CHUNK_CLAIMS_TRIED; i++) {
		__u32 *made = out ? &open->chunks[1] : &open->chunks[0];

		__sync_fetch_and_add(made, 1);
		claim.number = *(volatile __u32 *)made;
		if (!bpf_map_update_elem(&chunk_claims, &claim, &one, BPF_NOEXIST))
			break;
	}
	return claim.number;
}

static __always_inline __u64 least(__u64 one, __u64 other)
{
	return one < other ? one : other;
}

/* How much of so many bytes may be taken; it counts as spent. */
static __always_inline __u64 take_allowance(const struct call *call, const struct capture_policy *policy,
					    struct burst *burst, __u64 wanted)
{
	__u32 slot = call->session & (SESSION_SLOTS - 1), zero = 0;
	struct capture_spent *session = bpf_map_lookup_elem(&capture_spent, &slot);
	struct capture_spent *host = bpf_map_lookup_elem(&capture_spent, &zero);
	struct capture_policy *of_host = bpf_map_lookup_elem(&capture_policies, &zero);
	__u64 taken = burst->sums.captured;

	if (!session || !host || !of_host || taken >= policy->burst_bytes || session->bytes >= policy->bytes)
		return 0;
	if (call->now - host->since > MINUTE) {
		host->since = call->now;
		host->bytes = 0;
	}
	if (host->bytes >= of_host->bytes)
		return 0;
	wanted = least(wanted, policy->burst_bytes - taken);
	wanted = least(wanted, policy->bytes - session->bytes);
	wanted = least(wanted, of_host->bytes - host->bytes);
	__sync_fetch_and_add(&burst->sums.captured, wanted);
	__sync_fetch_and_add(&session->bytes, wanted);
	__sync_fetch_and_add(&host->bytes, wanted);
	return wanted;
}

/* Where the bytes are; false where the call has no buffer, or it cannot be known any more. */
static __always_inline bool find_bytes(const struct call *call, struct cursor *cursor, __u64 bytes, bool of_request)
{
	struct user_msghdr message;

	__builtin_memset(cursor, 0, sizeof(*cursor));
	cursor->message_left = bytes;
	/* The list of a request's pieces is the submitter's again as soon as it was taken up. */
	if (of_request && (call->buffer_unknown || (call->number != __NR_read && call->number != __NR_pread64 &&
						    call->number != __NR_write && call->number != __NR_pwrite64 &&
						    call->number != __NR_recvfrom && call->number != __NR_sendto)))
		return false;
	switch (call->number) {
	case __NR_read:
	case __NR_pread64:
	case __NR_write:
	case __NR_pwrite64:
	case __NR_recvfrom:
	case __NR_sendto:
		cursor->user_bytes = call->arguments[1];
		cursor->piece_left = call->arguments[2];
		return true;
	case __NR_readv:
	case __NR_preadv:
	case __NR_preadv2:
	case __NR_writev:
	case __NR_pwritev:
	case __NR_pwritev2:
	case __NR_vmsplice:
		cursor->user_pieces = call->arguments[1];
		cursor->pieces = call->arguments[2];
		return true;
	case __NR_sendmsg:
	case __NR_recvmsg:
		if (bpf_probe_read_user(&message, sizeof(message), (void *)call->arguments[1]))
			return false;
		cursor->user_pieces = message.iov;
		cursor->pieces = message.iov_length;
		return true;
	case __NR_sendmmsg:
	case __NR_recvmmsg:
		cursor->message_left = 0;
		cursor->user_messages = call->arguments[1];
		cursor->messages = least(call->result, MESSAGES_MAX);
		return true;
	}
	return false;
}

static __always_inline int content(__u64 *ctx, struct call *call, void *stages)
{
	struct move *move = &call->moves[call->at & (MOVES_MAX - 1)];
	struct content_scratch *scratch = content_scratch_of(stages);
	struct open_file *open = bpf_map_lookup_elem(&opens, &call->file);
	struct burst *burst = bpf_map_lookup_elem(&bursts, &call->key);
	struct capture_policy *policy = policy_of(call->session);
	struct chunk_event *event;
	__u64 bytes = move->bytes;

	if (!scratch || !open || !policy || !burst || open->id != move->open || burst->sums.number != move->burst) {
		lose_content(call);
		goto next;
	}
	if (!bytes || burst->sums.flags & BURST_OVERDRAWN)
		goto next;
	event = &scratch->record.event;
	__builtin_memset(event, 0, sizeof(*event));
	fill_header(&event->header, call, EVENT_CHUNK, 0);
	if (move->slot & 1)
		event->header.flags = CHUNK_OUT;
	event->open = move->open;
	event->burst = move->burst;
	event->call_start = call->offset;
	event->call_end = call->offset + bytes;
	event->offset = call->offset;
	scratch->skipped = 0;
	if (find_bytes(call, &scratch->cursor, bytes, is_of_request(stages))) {
		scratch->cursor.left = take_allowance(call, policy, burst, bytes);
		if (scratch->cursor.left < bytes)
			scratch->cursor.missing = MISSING_BUDGET;
	} else {
		/* What is said has its price as well: such calls may be many. */
		scratch->cursor.missing = MISSING_UNREADABLE;
		if (take_allowance(call, policy, burst, sizeof(*event)) < sizeof(*event))
			scratch->cursor.missing = MISSING_BUDGET;
	}
	if (scratch->cursor.missing == MISSING_BUDGET)
		burst->sums.flags |= BURST_OVERDRAWN;
	bpf_tail_call(ctx, stages, STAGE_TAKE);
	lose_content(call);
next:
	go_on(ctx, call, stages);
	return 0;
}

STAGE(content)

enum step {
	STEP_MORE,
	STEP_SAY, /* what was copied so far */
	STEP_LAST,
};

static __always_inline bool next_message(struct cursor *cursor)
{
	struct user_mmsghdr message;

	if (!cursor->messages || bpf_probe_read_user(&message, sizeof(message), (void *)cursor->user_messages))
		return false;
	cursor->messages--;
	cursor->user_messages += sizeof(message);
	cursor->user_pieces = message.message.iov;
	cursor->pieces = message.message.iov_length;
	cursor->piece_left = 0;
	cursor->message_left = message.length;
	return true;
}

/* The next piece; where there is none, what was moved beyond all pieces is one that cannot be read. */
static __always_inline void next_piece(struct cursor *cursor)
{
	struct user_iovec piece;

	if (cursor->pieces && !bpf_probe_read_user(&piece, sizeof(piece), (void *)cursor->user_pieces)) {
		cursor->pieces--;
		cursor->user_pieces += sizeof(piece);
		cursor->user_bytes = piece.base;
		cursor->piece_left = piece.length;
		return;
	}
	cursor->pieces = 0;
	cursor->user_bytes = 0;
	cursor->piece_left = cursor->message_left;
}

/* Copies as much as lies together, and fits. */
static __always_inline enum step take_step(struct content_scratch *scratch)
{
	struct chunk_event *event = &scratch->record.event;
	struct cursor *cursor = &scratch->cursor;
	__u64 used = event->captured;
	__u64 length;
	long failed;

	if (!cursor->left)
		return STEP_LAST;
	if (used >= CHUNK_BYTES_MAX)
		return STEP_SAY;
	if (!cursor->message_left) {
		if (next_message(cursor))
			return STEP_MORE;
		cursor->left = 0;
		cursor->missing = MISSING_UNREADABLE;
		return STEP_LAST;
	}
	if (!cursor->piece_left)
		next_piece(cursor);
	length = least(least(cursor->piece_left, cursor->message_left), cursor->left);
	length = least(length, CHUNK_BYTES_MAX - used);
	if (cursor->within_page)
		length = least(length, PAGE_BYTES - (cursor->user_bytes & (PAGE_BYTES - 1)));
	/* The compiler knows these from the lines above, and would leave them out; the verifier does not. */
	asm volatile("%0 &= %2\n\tif %1 <= %3 goto +1\n\t%1 = %3"
		     : "+r"(used), "+r"(length)
		     : "i"(CHUNK_BYTES_MAX - 1), "i"(CHUNK_BYTES_MAX));
	failed = bpf_probe_read_user(scratch->record.bytes + used, length, (void *)cursor->user_bytes);
	if (failed && !cursor->within_page) {
		cursor->within_page = 1;
		return STEP_MORE;
	}
	cursor->within_page = 0;
	cursor->left -= length;
	cursor->message_left -= length;
	cursor->piece_left -= length;
	cursor->user_bytes += length;
	if (failed) {
		scratch->skipped = length;
		event->missing = MISSING_UNREADABLE;
		return STEP_SAY;
	}
	event->captured = used + length;
	return event->captured < CHUNK_BYTES_MAX ? STEP_MORE : STEP_SAY;
}

/* Says what was copied, and goes on behind it; false where there was no room. */
static __always_inline bool say_chunk(void *ctx, struct content_scratch *scratch, struct open_file *open)
{
	struct chunk_event *event = &scratch->record.event;
	__u64 size = event->captured;
	bool said;

	if (size > CHUNK_BYTES_MAX)
		size = CHUNK_BYTES_MAX;
	size += sizeof(*event);
	event->header.size = size;
	event->number = next_chunk(open, event->header.flags & CHUNK_OUT);
	said = emit_content(ctx, &scratch->record, size);
	if (said)
		event->offset += event->captured + scratch->skipped;
	event->captured = 0;
	event->missing = MISSING_NOTHING;
	scratch->skipped = 0;
	return said;
}

static __always_inline int take(__u64 *ctx, struct call *call, void *stages)
{
	struct content_scratch *scratch = content_scratch_of(stages);
	struct open_file *open = bpf_map_lookup_elem(&opens, &call->file);

	if (!scratch || !open || open->id != scratch->record.event.open) {
		lose_content(call);
		goto next;
	}
	if (scratch->cursor.rounds++ >= ROUNDS_MAX) {
		scratch->cursor.left = 0;
		scratch->cursor.missing = MISSING_BUDGET;
	}
	for (int i = 0; i < STEPS_PER_CALL; i++) {
		enum step step = take_step(scratch);

		if (step == STEP_MORE)
			continue;
		if (step == STEP_LAST) {
			scratch->record.event.missing = scratch->cursor.missing;
			if (!scratch->record.event.captured && !scratch->cursor.missing)
				goto next;
		}
		if (say_chunk(ctx, scratch, open)) {
			if (step == STEP_LAST)
				goto next;
			continue;
		}
		/* Nothing is waited for. A record without bytes may still find room, to say what is missing. */
		if (scratch->cursor.full)
			goto next;
		scratch->cursor.full = 1;
		scratch->cursor.left = 0;
		scratch->cursor.missing = MISSING_RING_FULL;
	}
	bpf_tail_call(ctx, stages, STAGE_TAKE);
	lose_content(call);
next:
	go_on(ctx, call, stages);
	return 0;
}

STAGE(take)
