// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: the end of open files, when their last descriptor goes: by close, close_range, dup2 and dup3.
 *
 * Hook: sys_enter, by tail calls from src/syscall/enter.bpf.c: at the exit the file is gone. That a call will fail is
 * found out as the kernel will find it out.
 */
#include "closes.h"

SEC(SYS_ENTER)
int agentsight_close(__u64 *ctx)
{
	struct call *call = entered_call();

	if (call)
		close_last(ctx, call, call->arguments[0], CUT_CLOSE);
	return 0;
}

SEC(SYS_ENTER)
int agentsight_replace(__u64 *ctx)
{
	struct call *call = entered_call();

	/* Nothing is closed where the old descriptor is not open, or is the new one. */
	if (call && call->arguments[0] != call->arguments[1] && file_of(call->arguments[0]))
		close_last(ctx, call, call->arguments[1], CUT_CLOSE);
	return 0;
}

#define CLOSE_RANGE_CLOEXEC 4
#define CLOSED_PER_CALL 16

SEC(SYS_ENTER)
int agentsight_close_range(__u64 *ctx)
{
	struct call *call = entered_call();
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u32 end;

	if (!call || call->arguments[2] & CLOSE_RANGE_CLOEXEC)
		return 0;
	end = BPF_CORE_READ(task, files, fdt, max_fds);
	for (int i = 0; i < CLOSED_PER_CALL; i++) {
		__u32 fd = call->arguments[0];

		if (fd > (__u32)call->arguments[1] || fd >= end)
			return 0;
		close_last(ctx, call, fd, CUT_CLOSE);
		call->arguments[0] = fd + 1;
	}
	/* At most 34 times: 544 descriptors, of which a process seldom has as many. */
	bpf_tail_call(ctx, &enter_stages, ENTER_CLOSE_RANGE);
	return 0;
}
