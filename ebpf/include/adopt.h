/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Taking a tree that is already running into the tracing, without a gap while it forks and exits.
 *
 * The iterator visits every task and adopts those whose ancestors are traced. What could slip past it is caught
 * by the hooks, which, for as long as `adopting` holds a session, look at ancestors too: a process that forks
 * before it was visited is adopted by its fork, and one that exits hands its children over before they lose
 * their parent. Adoption is by one map insertion that only one of them can win.
 */
#ifndef AGENTSIGHT_ADOPT_H
#define AGENTSIGHT_ADOPT_H

#include "config.h"
#include "ring.h"
#include "tree.h"

struct adopting {
	__u32 session; /* 0: nothing is being adopted */
	__u32 root;    /* tgid that becomes the root, 0 once it has */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct adopting);
} adopting SEC(".maps");

#define ANCESTORS_MAX 64
#define CHILDREN_MAX 64

static __always_inline struct adopting *being_adopted(void)
{
	__u32 zero = 0;
	struct adopting *now;

	if (!config.adopts)
		return NULL;
	now = bpf_map_lookup_elem(&adopting, &zero);
	return now && now->session ? now : NULL;
}

/* The session of the nearest process above this one that is traced, or 0. */
static __always_inline __u32 session_above(struct task_struct *task)
{
	for (int i = 0; i < ANCESTORS_MAX; i++) {
		struct traced *above;
		__u32 tgid;

		task = BPF_CORE_READ(task, real_parent, group_leader);
		tgid = BPF_CORE_READ(task, tgid);
		if (!tgid)
			return 0;
		above = bpf_map_lookup_elem(&tree, &tgid);
		if (above)
			return above->session;
	}
	return 0;
}

/* Puts a running process into the tree and says what it is; false if it is there already, or there is no room. */
static __always_inline bool adopt(void *ctx, struct task_struct *leader, __u32 session)
{
	struct traced entry = {
		.start = task_start_boottime(leader), .session = session, .exec_id = task_exec_id(leader)};
	__u32 tgid = BPF_CORE_READ(leader, tgid);
	struct snapshot_event event = {};
	struct task_struct *parent;

	if (tgid == config.own_tgid)
		return false;
	if (bpf_map_update_elem(&tree, &tgid, &entry, BPF_NOEXIST)) {
		if (!bpf_map_lookup_elem(&tree, &tgid)) {
			count_made(session, LOSS_PROCESS);
			count_lost(session, LOSS_PROCESS);
		}
		return false;
	}
	count_made(session, LOSS_PROCESS);
	note_compat(leader);
	parent = BPF_CORE_READ(leader, real_parent, group_leader);
	event.header.size = sizeof(event);
	event.header.kind = EVENT_SNAPSHOT;
	event.header.at = kernel_clock();
	event.header.start = entry.start;
	event.header.tgid = tgid;
	event.header.session = session;
	event.parent_start = task_start_boottime(parent);
	event.parent_tgid = BPF_CORE_READ(parent, tgid);
	event.vpid = task_vpid(leader);
	event.cgroup_id = BPF_CORE_READ(leader, cgroups, dfl_cgrp, kn, id);
	event.uid = BPF_CORE_READ(leader, cred, uid.val);
	event.gid = BPF_CORE_READ(leader, cred, gid.val);
	event.euid = BPF_CORE_READ(leader, cred, euid.val);
	event.egid = BPF_CORE_READ(leader, cred, egid.val);
	emit(ctx, &event, sizeof(event), LOSS_SNAPSHOT);
	return true;
}

/* The children of a thread that is about to end, before they get another parent. */
static __always_inline void adopt_children(void *ctx, struct task_struct *task, __u32 session)
{
	struct list_head *head = (void *)task + bpf_core_field_offset(struct task_struct, children);
	struct list_head *child = BPF_CORE_READ(head, next);

	for (int i = 0; i < CHILDREN_MAX; i++) {
		if (child == head)
			return;
		adopt(ctx, (void *)child - bpf_core_field_offset(struct task_struct, sibling), session);
		child = BPF_CORE_READ(child, next);
	}
	count_made(session, LOSS_PROCESS);
	count_lost(session, LOSS_PROCESS);
}

#endif
