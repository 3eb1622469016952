/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The only doors to user space: wrappers that count what was made and what
 * the ring had no room for. No other file touches a ring.
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

/* All other records. User space puts the two in order by time (src/live/merge.rs). */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} transfers SEC(".maps");
#else
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23); /* bytes; set again by the loader */
} lifecycle SEC(".maps");

/* All other records. User space puts the two in order by time (src/live/merge.rs). */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23); /* bytes; set again by the loader */
} transfers SEC(".maps");
#endif

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_KINDS);
	__type(key, __u32);
	__type(value, struct event_counts);
} counts SEC(".maps");

static __always_inline void count_made(__u32 kind)
{
	struct event_counts *count = bpf_map_lookup_elem(&counts, &kind);

	if (count)
		count->made++;
}

static __always_inline void count_lost(__u32 kind)
{
	struct event_counts *count = bpf_map_lookup_elem(&counts, &kind);

	if (count)
		count->lost++;
}

/* 0, or a negative error number. */
static __always_inline long output(void *ctx, void *event, __u64 size)
{
#ifdef PERF_BUFFER
	/*
	 * Says when its buffer was full since 5.0 (56201969114e), so what the
	 * reader finds as PERF_RECORD_LOST is counted here already.
	 */
	return bpf_perf_event_output(ctx, &lifecycle, BPF_F_CURRENT_CPU, event, size);
#else
	/*
	 * Without flags the kernel wakes the reader only when it had read all
	 * that came before: a busy ring costs one wake-up per drain.
	 */
	(void)ctx;
	return bpf_ringbuf_output(&lifecycle, event, size, 0);
#endif
}

static __always_inline void emit(void *ctx, void *event, __u64 size, __u32 kind)
{
	count_made(kind);
	if (output(ctx, event, size))
		count_lost(kind);
}

/* 0, or a negative error number. */
static __always_inline long output_transfer(void *ctx, void *event, __u64 size)
{
#ifdef PERF_BUFFER
	return bpf_perf_event_output(ctx, &transfers, BPF_F_CURRENT_CPU, event, size);
#else
	/* The reader comes by itself ten times a second; sooner only when half of the room is used. */
	__u64 used = bpf_ringbuf_query(&transfers, BPF_RB_AVAIL_DATA);
	__u64 room = bpf_ringbuf_query(&transfers, BPF_RB_RING_SIZE);

	(void)ctx;
	return bpf_ringbuf_output(&transfers, event, size, used > room / 2 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
#endif
}

/* As emit(), for every kind that is not a process's lifecycle. */
static __always_inline void emit_transfer(void *ctx, void *event, __u64 size, __u32 kind)
{
	count_made(kind);
	if (output_transfer(ctx, event, size))
		count_lost(kind);
}

#endif
