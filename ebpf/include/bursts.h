/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Transfers counted into bursts: what one image moved over one open file in one direction, without a pause or a change
 * of meaning.
 *
 * A burst is an entry of `bursts`. Whoever inserts it says that it began, whoever deletes it says that it ended, with
 * its sums, so two threads never say one thing twice. A burst that another party's access ends is ended by that party.
 */
#ifndef AGENTSIGHT_BURSTS_H
#define AGENTSIGHT_BURSTS_H

#include "call.h"
#include "copies.h"
#include "opens.h"

#define SECOND 1000000000ULL
#define BURST_AGE_MAX (60 * SECOND)
/* An image may begin so many bursts over one open file in one direction at any time, and then one a second. */
#define BURSTS_AT_ONCE 64
/* The newest of an image's inputs, which a flow point ends. */
#define INTAKES 64

/* A hash, not an LRU: a forgotten burst would be lost bytes. User space takes out what ended images leave. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct burst_key);
	__type(value, struct burst);
} bursts SEC(".maps");

/* What an image did over an open file in one direction so far. */
struct use {
	__u64 first;	/* when its first burst began */
	__u32 begun;	/* how many did */
	__u32 followed; /* outputs: the image's sources when its last burst began */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct burst_key);
	__type(value, struct use);
} uses SEC(".maps");

#define DEVICE_SOCK 0xffffffff

/* What all open files of one file, pipe or socket share. */
struct object {
	__u64 in; /* streams: bytes taken out, and put in, since it was first seen */
	__u64 out;
	__u64 other;		 /* unix: inode of the sender that `out` belongs to */
	struct burst_key reader; /* the last */
	struct burst_key writer;
	__u64 party; /* who used it last */
	__u32 party_wrote;
	__u32 turn;    /* grows when a write separates what was read or written by others */
	__u32 version; /* grows when it is written after others used it */
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct object_key);
	__type(value, struct object);
} objects SEC(".maps");

/* Which version of a file an image has taken in. */
struct input_key {
	struct object_key object;
	__u32 tgid;
	__u32 exec;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct input_key);
	__type(value, __u32);
} inputs SEC(".maps");

/* The bursts that are an image's newest sources. */
struct intake_key {
	__u32 tgid;
	__u32 exec;
	__u32 slot; /* source % INTAKES */
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct intake_key);
	__type(value, struct burst_key);
} intakes SEC(".maps");

static __always_inline bool is_stream(__u32 object)
{
	return object != OBJECT_FILE;
}

static __always_inline bool is_out(__u32 slot)
{
	return slot & 1;
}

static __always_inline void add_to(struct burst *burst, const struct call *call, const struct move *move)
{
	struct burst_sums *sums = &burst->sums;
	__u64 end = call->offset + move->bytes;

	__sync_fetch_and_add(&sums->bytes, move->bytes);
	__sync_fetch_and_add(&sums->operations, 1);
	if (is_out(move->slot))
		__sync_fetch_and_add(&sums->wait, call->now - call->began);
	if (call->offset > sums->end || end < sums->offset)
		sums->flags |= BURST_SPARSE;
	if (call->offset < sums->offset)
		sums->offset = call->offset;
	if (end > sums->end)
		sums->end = end;
	if (move->last > sums->last)
		sums->last = move->last;
	if (burst->tid != call->tid) {
		sums->flags |= BURST_THREADS;
		burst->tid = call->tid;
	}
	burst->noted = call->now;
	burst->turn = call->turn;
}

static __always_inline void fill_end(struct burst_end_event *event, const struct burst_key *key,
				     const struct burst *burst, __u64 now, __u32 why)
{
	event->header.size = sizeof(*event);
	event->header.kind = EVENT_BURST_END;
	event->header.flags = 0;
	event->header.at = now;
	event->header.start = burst->start;
	event->header.tgid = key->tgid;
	event->header.tid = burst->sums.tid;
	event->header.exec = key->image >> 2;
	event->header.session = burst->session;
	event->slot = key->image & 3;
	event->cut = why;
	event->sums = burst->sums;
}

static __always_inline void say_copied(void *ctx, const struct burst_key *to, const struct burst *burst, __u64 now)
{
	struct copied_event event = {};

	event.header.size = sizeof(event);
	event.header.kind = EVENT_COPIED;
	event.header.at = now;
	event.header.start = burst->start;
	event.header.tgid = to->tgid;
	event.header.tid = burst->sums.tid;
	event.header.exec = to->image >> 2;
	event.header.session = burst->session;
	event.from_open = burst->sums.copied_open;
	event.from_number = burst->sums.copied_number;
	event.to_open = burst->sums.open;
	event.to_number = burst->sums.number;
	event.bytes = burst->sums.copied_bytes;
	emit_data(ctx, &event, sizeof(event), LOSS_BURST);
}

/* Who ends bursts: where programs can be preempted, one of another hook may come between (copies.h). */
enum ender {
	ENDER_CALL_EXIT,
	ENDER_CALL_ENTER,
	ENDER_FORK, /* and one more for each further copy */
	ENDERS = ENDER_FORK + COPIES,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ENDERS);
	__type(key, __u32);
	__type(value, struct burst_end_event);
} end_scratch SEC(".maps");

/* Ends a burst, unless it has ended, or may not yet: then it goes on, marked. */
static __always_inline void cut_burst(void *ctx, __u32 ender, const struct burst_key *key, __u64 now, __u32 why)
{
	struct burst *burst = bpf_map_lookup_elem(&bursts, key);
	struct burst_end_event *event;

	if (!burst)
		return;
	/* A mapping is written to without a call: it lasts until its image ends. */
	if ((key->image & 3) == BURST_MAPPED_OUT)
		return;
	if (why != CUT_CLOSE && now < burst->may_end_at) {
		burst->sums.flags |= BURST_COALESCED;
		return;
	}
	event = bpf_map_lookup_elem(&end_scratch, &ender);
	if (!event)
		return;
	fill_end(event, key, burst, now, why);
	if (bpf_map_delete_elem(&bursts, key))
		return;
	/* What another thread added since. The memory is another entry's only when it was taken within these lines. */
	if (burst->sums.open == event->sums.open && burst->sums.number == event->sums.number)
		event->sums = burst->sums;
	if (event->sums.copied_open)
		say_copied(ctx, key, burst, now);
	emit_data(ctx, event, sizeof(*event), LOSS_BURST);
}

/* By way of the payload, where that may be wanted. */
static __always_inline void go_on_from(void *ctx, struct call *call, const struct open_file *open,
				       const struct move *move, void *stages)
{
	if (MAY_CAPTURE && move->burst && open->capture != CAPTURE_NOT)
		bpf_tail_call(ctx, stages, open->capture == CAPTURE_WANTED ? STAGE_CONTENT : STAGE_POLICY);
	go_on(ctx, call, stages);
}

#endif
