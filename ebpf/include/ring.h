/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The only door to user space: one wrapper that counts what was made and
 * what the ring had no room for. No other file touches the ring.
 */
#ifndef AGENTSIGHT_RING_H
#define AGENTSIGHT_RING_H

#include "event.h"
#include "kernel.h"

/* Lifecycle records have a ring of their own, so that nothing else can push out a fork. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23); /* bytes; set again by the loader */
} lifecycle SEC(".maps");

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

static __always_inline void emit(void *event, __u64 size, __u32 kind)
{
	count_made(kind);
	/*
	 * Without flags the kernel wakes the reader only when it had read all
	 * that came before: a busy ring costs one wake-up per drain.
	 */
	if (bpf_ringbuf_output(&lifecycle, event, size, 0))
		count_lost(kind);
}

#endif
