/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The only door to user space: one wrapper that counts what was made and
 * what the ring had no room for. No other file touches the ring.
 *
 * This object is compiled twice. A ring buffer map cannot even be created
 * before Linux 5.8 (457f44363a88), and no flag that user space sets takes a
 * map out of an object, so with PERF_BUFFER the same programs write to perf
 * buffers, one per CPU.
 */
#ifndef AGENTSIGHT_RING_H
#define AGENTSIGHT_RING_H

#include "event.h"
#include "kernel.h"

/* Lifecycle records have a ring of their own, so that nothing else can push out a fork. */
#ifdef PERF_BUFFER
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);   /* CPU */
	__type(value, __u32); /* descriptor of its buffer; max_entries is set by the loader */
} lifecycle SEC(".maps");

/* Everything else: opens, bursts, connections, changes. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} transfers SEC(".maps");

/* Payload, so that it can push out nothing but other payload. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} contents SEC(".maps");
#else
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23); /* bytes; set again by the loader */
} lifecycle SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24); /* bytes; set again by the loader */
} transfers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16); /* bytes; set again by the loader, where payload is captured */
} contents SEC(".maps");
#endif

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries,
	       SESSION_SLOTS *LOSS_KINDS); /* set again by the loader: a collector of one session needs few */
	__type(key, __u32);
	__type(value, struct event_counts);
} counts SEC(".maps");

static __always_inline struct event_counts *counts_of(__u32 session, __u32 kind)
{
	__u32 index = (session & (SESSION_SLOTS - 1)) * LOSS_KINDS + kind;

	return bpf_map_lookup_elem(&counts, &index);
}

static __always_inline void count_made(__u32 session, __u32 kind)
{
	struct event_counts *count = counts_of(session, kind);

	if (count)
		__sync_fetch_and_add(&count->made, 1);
}

static __always_inline void count_lost(__u32 session, __u32 kind)
{
	struct event_counts *count = counts_of(session, kind);

	if (count)
		__sync_fetch_and_add(&count->lost, 1);
}

/* 0, or a negative error number. */
static __always_inline long output(void *ctx, void *ring, void *event, __u64 size)
{
#ifdef PERF_BUFFER
	/*
	 * Says when its buffer was full since 5.0 (56201969114e), so what the
	 * reader finds as PERF_RECORD_LOST is counted here already.
	 */
	return bpf_perf_event_output(ctx, ring, BPF_F_CURRENT_CPU, event, size);
#else
	/*
	 * Without flags the kernel wakes the reader only when it had read all
	 * that came before: a busy ring costs one wake-up per drain.
	 */
	(void)ctx;
	return bpf_ringbuf_output(ring, event, size, 0);
#endif
}

/* Likewise, for records that nobody waits for. */
static __always_inline long output_later(void *ctx, void *ring, void *event, __u64 size)
{
#ifdef PERF_BUFFER
	return output(ctx, ring, event, size);
#else
	/* The reader comes by itself ten times a second; sooner only when half of the room is used. */
	__u64 used = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	__u64 room = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);

	(void)ctx;
	return bpf_ringbuf_output(ring, event, size, used > room / 2 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
#endif
}

/* Every event begins with its header, which says whose it is. */
static __always_inline void emit(void *ctx, void *event, __u64 size, __u32 kind)
{
	__u32 session = ((struct event_header *)event)->session;

	count_made(session, kind);
	if (output(ctx, &lifecycle, event, size))
		count_lost(session, kind);
}

/* Of what is not lifecycle; false where it was lost. */
static __always_inline bool emit_data(void *ctx, void *event, __u64 size, __u32 kind)
{
	__u32 session = ((struct event_header *)event)->session;

	count_made(session, kind);
	if (!output_later(ctx, &transfers, event, size))
		return true;
	count_lost(session, kind);
	return false;
}

/* Likewise of payload. */
static __always_inline bool emit_content(void *ctx, void *event, __u64 size)
{
	__u32 session = ((struct event_header *)event)->session;

	count_made(session, LOSS_CONTENT);
	if (!output_later(ctx, &contents, event, size))
		return true;
	count_lost(session, LOSS_CONTENT);
	return false;
}

#endif
