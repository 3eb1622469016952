// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: the end of a traced process, when its last thread ends.
 *
 * Hook: raw_tp/sched_process_exit, in do_exit() of each thread, after signal->live was counted down and
 * task->exit_code was set. From 6.16 a second argument says whether the group is dead; signal->live says
 * the same on every kernel.
 */
#include "adopt.h"
#include "copies.h"

static __always_inline int see_exit(struct bpf_raw_tracepoint_args *ctx, enum copy copy)
{
	struct task_struct *task = (struct task_struct *)((__u64 *)ctx)[0];
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 tgid = pid_tgid >> 32;
	struct traced *process = bpf_map_lookup_elem(&tree, &tgid);
	struct adopting *adopting = being_adopted();
	struct signal_struct *signal;
	struct task_struct *leader;
	struct exit_event event = {};
	__u32 above;

	/* A later copy cannot tell what it would adopt from what an earlier one has just taken out of the tree. */
	above = adopting && copy == COPY_FIRST && !process ? session_above(task) : 0;
	if (above) {
		adopt(ctx, BPF_CORE_READ(task, group_leader), above);
		process = bpf_map_lookup_elem(&tree, &tgid);
	}
	if (!process)
		return 0;
	if (adopting)
		adopt_children(ctx, task, process->session);
	signal = BPF_CORE_READ(task, signal);
	if (BPF_CORE_READ(signal, live.counter) > 0)
		return 0;

	/* What the parent's wait() will see (wait_task_zombie()). */
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT) {
		event.status = BPF_CORE_READ(signal, group_exit_code);
	} else {
		/*
		 * Only where the kernel has no signal->quick_threads: with it the last thread's code is the group's.
		 * A leader that was counted down at the same time may not have set its code yet. It sets it before
		 * it gives up its mm, and comes here only after that, so it will find live at 0 and speak.
		 */
		leader = BPF_CORE_READ(task, group_leader);
		if (leader != task && BPF_CORE_READ(leader, mm))
			return 0;
		event.status = BPF_CORE_READ(leader, exit_code);
	}

	event.header.size = sizeof(event);
	event.header.kind = EVENT_EXIT;
	event.header.at = kernel_clock();
	event.header.start = process->start;
	event.header.tgid = tgid;
	event.header.tid = pid_tgid;
	event.header.exec = process->exec;
	event.header.session = process->session;
	/* Two threads that end at once may both find live at 0: the one that removes the entry speaks. */
	if (bpf_map_delete_elem(&tree, &tgid))
		return 0;
	emit(ctx, &event, sizeof(event), LOSS_EXIT);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int agentsight_exit(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_exit(ctx, COPY_FIRST);
}

SEC("raw_tp/sched_process_exit")
int agentsight_exit_again(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_exit(ctx, COPY_SECOND);
}

SEC("raw_tp/sched_process_exit")
int agentsight_exit_once_more(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_exit(ctx, COPY_THIRD);
}

SEC("raw_tp/sched_process_exit")
int agentsight_exit_witness(void)
{
	return bear_witness();
}
