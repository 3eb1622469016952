/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Whether somebody wants to know of execs outside of any tree: a daemon with rules that such a process may match. */
#ifndef AGENTSIGHT_WATCH_H
#define AGENTSIGHT_WATCH_H

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} watch_execs SEC(".maps");

static __always_inline bool execs_are_watched(void)
{
	__u32 zero = 0;
	__u32 *watched;

	if (!config.watches)
		return false;
	watched = bpf_map_lookup_elem(&watch_execs, &zero);
	return watched && *watched;
}

#endif
