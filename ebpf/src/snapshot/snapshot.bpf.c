// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: the processes of a tree that was running before it was traced.
 *
 * Hook: iter/task (5.8), which visits every task when its file is read. In the kernel, because what it finds goes
 * into the tree in the same moment, and because /proc gives a process's start in hundredths of a second only.
 */
#include "adopt.h"

SEC("iter/task")
int agentsight_snapshot(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct adopting *now = being_adopted();
	__u32 session;
	__u32 tgid;

	if (!task || !now)
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	/* Threads come with their process; kernel threads have no memory; who has ended is nobody's tree. */
	if ((__u32)BPF_CORE_READ(task, pid) != tgid || !BPF_CORE_READ(task, mm) ||
	    BPF_CORE_READ(task, signal, live.counter) <= 0)
		return 0;
	session = tgid == now->root ? now->session : session_above(task);
	if (session)
		adopt(ctx, task, session);
	return 0;
}
