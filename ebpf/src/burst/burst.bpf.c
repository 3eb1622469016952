// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * What an access comes to: the bursts that it ends, and the one that it adds to or begins.
 *
 * Hook: sys_exit, and io_uring_complete, by tail calls from src/burst/move.bpf.c.
 */
#include "bursts.h"
#include "descriptor.h"
#include "shapes.h"

/* So many a program ends, and then tail-calls itself: the verifier walks every turn. */
#define CUTS_PER_CALL 16

static __always_inline int cut(__u64 *ctx, struct call *call, void *stages)
{

	for (int i = 0; i < CUTS_PER_CALL; i++) {
		__u32 at = call->cuts_done;

		if (at >= call->cuts_count)
			break;
		call->cuts_done = at + 1;
		at &= CUTS_MAX - 1;
		cut_burst(ctx, ENDER_CALL_EXIT, &call->cuts[at].key, call->now, call->cuts[at].why);
	}
	if (call->cuts_done < call->cuts_count)
		bpf_tail_call(ctx, stages, STAGE_CUT);
	bpf_tail_call(ctx, stages, STAGE_COUNT);
	return 0;
}

STAGE(cut)

#define NUMBERS_TRIED 8

/*
 * Two images may begin at the same moment, and atomic addition that also says the sum came with 5.12. The counter goes
 * from one value to the next by one addition: whoever sees it so around an addition of his own knows whose that was.
 */
static __always_inline __u32 next_number(struct open_file *open)
{
	for (int i = 0; i < NUMBERS_TRIED; i++) {
		__u32 before = *(volatile __u32 *)&open->bursts;
		__u32 after;

		__sync_fetch_and_add(&open->bursts, 1);
		after = *(volatile __u32 *)&open->bursts;
		if (after == before + 1 && after)
			return after;
	}
	return 0;
}

/*
 * Whether an input is something new to its image, so that what goes out later may follow from it. Of a stream that is
 * so where the image does with it what it did not just before.
 */
enum news {
	NEWS_NONE,
	/* What the image does with it is worth noting. */
	NEWS_AGAIN,
	/* Of a file that the image never read before. */
	NEWS_FIRST,
};

static __always_inline enum news news_in(const struct call *call, const struct object *object, bool used)
{
	struct input_key key = {.object = call->object, .tgid = call->tgid, .exec = call->exec};
	__u32 version = object->version;
	__u32 *known;

	/* The first burst of a stream, too: its next one has to know of this one. */
	if (is_stream(call->object_kind))
		return used && !call->turned ? NEWS_NONE : NEWS_AGAIN;
	known = bpf_map_lookup_elem(&inputs, &key);
	if (known && *known == version)
		return NEWS_NONE;
	bpf_map_update_elem(&inputs, &key, &version, BPF_ANY);
	return known ? NEWS_AGAIN : NEWS_FIRST;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct burst);
} fresh_burst SEC(".maps");

/* Inserts the burst and says so; false where another thread of the image was quicker, or there is no room. */
static __always_inline bool begin(void *ctx, struct call *call, struct move *move, struct traced *process,
				  struct open_file *open, struct object *object)
{
	struct use *use = bpf_map_lookup_elem(&uses, &call->key);
	struct burst_begin_event event = {};
	struct intake_key intake = {};
	struct use first = {};
	enum news news = NEWS_NONE;
	struct burst *burst;
	__u32 zero = 0;

	burst = bpf_map_lookup_elem(&fresh_burst, &zero);
	if (!burst)
		return false;
	__builtin_memset(burst, 0, sizeof(*burst));
	fill_header(&event.header, call, EVENT_BURST_BEGIN, sizeof(event));
	event.open = open->id;
	event.slot = move->slot;
	event.first = move->first;
	event.offset = call->offset;
	event.number = next_number(open);
	if (!is_out(move->slot))
		news = news_in(call, object, use != NULL);
	if (news != NEWS_NONE) {
		__sync_fetch_and_add(&process->sources, 1);
		event.header.flags = BURST_SOURCE;
		event.now = *(volatile __u32 *)&process->sources;
		intake.tgid = call->tgid;
		intake.exec = call->exec;
		intake.slot = event.now % INTAKES;
		bpf_map_update_elem(&intakes, &intake, &call->key, BPF_ANY);
	}
	if (call->flow_now != call->flow_before) {
		event.header.flags = BURST_FLOW;
		event.before = call->flow_before;
		event.now = call->flow_now;
	}

	burst->sums.open = open->id;
	burst->sums.number = event.number;
	burst->sums.first = move->first;
	burst->sums.last = move->last;
	burst->sums.bytes = move->bytes;
	burst->sums.operations = 1;
	burst->sums.wait = is_out(move->slot) ? call->now - call->began : 0;
	burst->sums.offset = call->offset;
	burst->sums.end = call->offset + move->bytes;
	burst->sums.tid = call->tid;
	burst->start = call->start;
	burst->noted = call->now;
	burst->session = call->session;
	burst->tid = call->tid;
	burst->turn = call->turn;
	burst->followed = process->sources;
	if (use) {
		use->begun++;
		use->followed = burst->followed;
		if (use->begun >= BURSTS_AT_ONCE)
			burst->may_end_at = use->first + (use->begun - BURSTS_AT_ONCE + 1) * SECOND;
	} else if (news != NEWS_FIRST) {
		/* Most files are read once by an image: what it does with one is counted from the second burst on. */
		first.first = call->now;
		first.begun = 1;
		first.followed = burst->followed;
		bpf_map_update_elem(&uses, &call->key, &first, BPF_ANY);
	}

	if (!event.number || bpf_map_update_elem(&bursts, &call->key, burst, BPF_NOEXIST)) {
		if (bpf_map_lookup_elem(&bursts, &call->key))
			return false;
		count_made(call->session, LOSS_BURST);
		count_lost(call->session, LOSS_BURST);
		return false;
	}
	/* An unannounced burst would stay in the map when its image ends. */
	if (!emit_data(ctx, &event, sizeof(event), LOSS_BURST)) {
		bpf_map_delete_elem(&bursts, &call->key);
		return false;
	}
	move->burst = event.number;
	return true;
}

/* What the second transfer of a copy got from the first. */
static __always_inline void note_copy(void *ctx, struct call *call, struct burst *burst)
{
	struct move *from = &call->moves[0];

	if (burst->sums.copied_open &&
	    (burst->sums.copied_open != from->open || burst->sums.copied_number != from->burst)) {
		say_copied(ctx, &call->key, burst, call->now);
		burst->sums.copied_bytes = 0;
	}
	burst->sums.copied_open = from->open;
	burst->sums.copied_number = from->burst;
	burst->sums.copied_bytes += call->moves[1].bytes;
}

static __always_inline int count(__u64 *ctx, struct call *call, void *stages)
{
	struct open_file *open;
	struct traced *process;
	struct object *object;
	struct burst *burst;
	struct move *move;

	move = &call->moves[call->at & (MOVES_MAX - 1)];
	process = bpf_map_lookup_elem(&tree, &call->tgid);
	open = bpf_map_lookup_elem(&opens, &call->file);
	object = bpf_map_lookup_elem(&objects, &call->object);
	if (!process || !open || !object || open->id != call->key.open) {
		count_made(call->session, LOSS_BURST);
		count_lost(call->session, LOSS_BURST);
		goto next;
	}
	burst = bpf_map_lookup_elem(&bursts, &call->key);
	if (!burst && !begin(ctx, call, move, process, open, object))
		burst = bpf_map_lookup_elem(&bursts, &call->key);
	if (burst) {
		add_to(burst, call, move);
		move->burst = burst->sums.number;
	}
	if (call->copies && call->at == 1 && call->moves[0].burst) {
		burst = bpf_map_lookup_elem(&bursts, &call->key);
		if (burst)
			note_copy(ctx, call, burst);
	}
	go_on_from(ctx, call, open, move, stages);
	return 0;
next:
	go_on(ctx, call, stages);
	return 0;
}

STAGE(count)
