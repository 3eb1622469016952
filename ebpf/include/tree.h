/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Whose events: the traced processes, kept by the kernel itself so that no child is missed. */
#ifndef AGENTSIGHT_TREE_H
#define AGENTSIGHT_TREE_H

#include "kernel.h"

struct traced {
	__u64 start; /* start_boottime, ns: guards against a tgid that is used again */
	__u32 session;
	__u32 exec;	 /* execs since the fork */
	__u32 exec_id;	 /* the task's at the last exec that was seen, so that none is counted twice */
	__u32 launching; /* the root before its first exec: what it does is its launcher's doing, and not looked at */
	__u32 sources;	 /* of this image: what it took in so far, counted as in include/bursts.h */
	__u32 followed;	 /* how many of them there were at its last fork */
};

/* A hash, never an LRU: a forgotten process would be a silent hole. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32); /* tgid */
	__type(value, struct traced);
} tree SEC(".maps");

/*
 * Some traced process runs a 32-bit image. Its calls have numbers of their own, so that for its sake every call of
 * every process has to be asked whose it is: nobody pays for that before there is one.
 */
volatile __u32 compat_traced;

static __always_inline void note_compat(struct task_struct *task)
{
	/* The end of what the image may address. The thread's flag for it had another number before 6.18. */
	if (BPF_CORE_READ(task, mm, task_size) <= 1UL << 32)
		compat_traced = true;
}

/* Processes whose next child is the root of a session: tgid of the stub, session. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} launchers SEC(".maps");

#endif
