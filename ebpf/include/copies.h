/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Where the kernel can preempt a program, it skips it for every task that comes by on that CPU meanwhile.
 *
 * So each program on a hook is there several times (src/live/hooks.rs). The copies run one after the other for the
 * same event, are skipped independently, and every one leaves things as they are where an earlier one has done the
 * work. A witness runs last: it knows whether any of them ran, so that what all of them missed is counted, and
 * what one of them was skipped for is not. Only a witness that is itself skipped can be silent, and it is short.
 */
#ifndef AGENTSIGHT_COPIES_H
#define AGENTSIGHT_COPIES_H

#include "config.h"

enum copy { COPY_FIRST, COPY_SECOND, COPY_THIRD, COPIES };

/* Tasks whose present event a copy has seen. Not per CPU: between two copies the task may move. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} missed SEC(".maps");

static __always_inline void note_seen(void)
{
	__u64 task = bpf_get_current_task();
	__u32 yes = 1;

	if (config.preemptible)
		bpf_map_update_elem(&seen, &task, &yes, BPF_ANY);
}

static __always_inline int bear_witness(void)
{
	__u64 task = bpf_get_current_task();
	__u32 zero = 0;
	__u64 *count;

	if (!bpf_map_delete_elem(&seen, &task))
		return 0;
	count = bpf_map_lookup_elem(&missed, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

#endif
