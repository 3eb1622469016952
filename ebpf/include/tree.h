/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Whose events: the traced processes, kept by the kernel itself so that no child is missed. */
#ifndef AGENTSIGHT_TREE_H
#define AGENTSIGHT_TREE_H

#include "kernel.h"

struct traced {
	__u64 start; /* start_boottime, ns: guards against a tgid that is used again */
	__u32 session;
	__u32 exec;    /* execs since the fork */
	__u32 exec_id; /* the task's at the last exec that was seen, so that none is counted twice */
	__u32 reserved;
};

/* A hash, never an LRU: a forgotten process would be a silent hole. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32); /* tgid */
	__type(value, struct traced);
} tree SEC(".maps");

/* Processes whose next child is the root of a session: tgid of the stub, session. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} launchers SEC(".maps");

#endif
