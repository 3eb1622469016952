// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: every new process of a traced tree, and puts it into the tree.
 *
 * Hook: raw_tp/sched_process_fork, in kernel_clone() of the forking thread, after copy_process() and
 * before wake_up_new_task(): the child has not run yet, so nothing that it does comes before its entry in
 * the tree. The formatted tracepoint would not do: its layout changed in 6.16, and it has no tgid.
 */
#include "adopt.h"
#include "bursts.h"
#include "copies.h"

/* What the parent took in since its last fork the child may follow from; those inputs end here. */
static __always_inline void follow(void *ctx, enum copy copy, struct traced *parent, __u32 tgid,
				   struct fork_event *event)
{
	struct intake_key key = {.tgid = tgid, .exec = parent->exec};

	event->flow_before = parent->followed;
	event->flow_now = parent->sources;
	for (__u32 i = 0; i < INTAKES; i++) {
		__u32 source = event->flow_now - i;
		struct burst_key *intake;

		if (source <= event->flow_before || source > event->flow_now)
			break;
		key.slot = source % INTAKES;
		intake = bpf_map_lookup_elem(&intakes, &key);
		if (intake)
			cut_burst(ctx, ENDER_FORK + copy, intake, event->header.at, CUT_FLOW);
	}
	parent->followed = event->flow_now;
}

static __always_inline int see_fork(struct bpf_raw_tracepoint_args *ctx, enum copy copy)
{
	struct task_struct *child = (struct task_struct *)((__u64 *)ctx)[1];
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 parent_tgid = pid_tgid >> 32;
	__u32 child_tgid = BPF_CORE_READ(child, tgid);
	struct traced entry = {};
	struct traced *parent, *child_entry;
	struct fork_event event = {};
	struct adopting *adopting;
	struct task_struct *forker;
	__u32 *session;
	__u32 above;

	/* A thread: same process. */
	if (child_tgid == parent_tgid)
		return 0;

	entry.start = task_start_boottime(child);
	child_entry = bpf_map_lookup_elem(&tree, &child_tgid);
	if (child_entry && child_entry->start == entry.start)
		return 0;
	forker = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), group_leader);
	parent = bpf_map_lookup_elem(&tree, &parent_tgid);
	adopting = being_adopted();
	above = !parent && adopting ? session_above(forker) : 0;
	if (above) {
		adopt(ctx, forker, above);
		parent = bpf_map_lookup_elem(&tree, &parent_tgid);
	}
	if (parent) {
		entry.session = parent->session;
		event.parent_exec = parent->exec;
	} else {
		session = bpf_map_lookup_elem(&launchers, &parent_tgid);
		if (!session)
			return 0;
		entry.session = *session;
		event.header.flags = FORK_ROOT;
		entry.launching = 1;
		/* One child only: what else the launcher starts is not the command. */
		bpf_map_delete_elem(&launchers, &parent_tgid);
	}

	entry.exec_id = task_exec_id(child);
	count_made(entry.session, LOSS_PROCESS);
	if (bpf_map_update_elem(&tree, &child_tgid, &entry, BPF_ANY))
		count_lost(entry.session, LOSS_PROCESS);

	event.header.size = sizeof(event);
	event.header.kind = EVENT_FORK;
	event.header.at = kernel_clock();
	event.header.start = entry.start;
	event.header.tgid = child_tgid;
	event.header.tid = pid_tgid;
	event.header.session = entry.session;
	event.parent_start = task_start_boottime(forker);
	event.parent_tgid = parent_tgid;
	event.vpid = task_vpid(child);
	if (parent)
		follow(ctx, copy, parent, parent_tgid, &event);
	emit(ctx, &event, sizeof(event), LOSS_FORK);
	return 0;
}

SEC("raw_tp/sched_process_fork")
int agentsight_fork(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_fork(ctx, COPY_FIRST);
}

SEC("raw_tp/sched_process_fork")
int agentsight_fork_again(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_fork(ctx, COPY_SECOND);
}

SEC("raw_tp/sched_process_fork")
int agentsight_fork_once_more(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_fork(ctx, COPY_THIRD);
}

SEC("raw_tp/sched_process_fork")
int agentsight_fork_witness(void)
{
	return bear_witness();
}
