// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: the beginning of outputs, whose time it is, and of calls that close, after which the file would be gone.
 *
 * Hook: sys_enter. It returns at once for every other call.
 */
#include "call.h"
#include "registers.h"
#include "shapes.h"

SEC(SYS_ENTER)
int agentsight_sys_enter(__u64 *ctx)
{
	__u64 number = ctx[1];
	struct traced *process;
	struct call *call;
	__u64 pid_tgid;
	__u32 tgid, tid;
	__u64 now;

	if (number >= NUMBERS_MAX || !enter_shapes[number])
		return 0;
	pid_tgid = bpf_get_current_pid_tgid();
	tgid = pid_tgid >> 32;
	tid = pid_tgid;
	process = bpf_map_lookup_elem(&tree, &tgid);
	if (!process || process->launching || is_compat())
		return 0;
	now = kernel_clock();
	if (enter_shapes[number] == ENTER_TIME) {
		bpf_map_update_elem(&entered, &tid, &now, BPF_ANY);
		return 0;
	}
	call = entered_call();
	if (!call)
		return 0;
	call->now = now;
	call->began = now;
	call->number = number;
	call->start = process->start;
	call->tgid = tgid;
	call->tid = tid;
	call->exec = process->exec;
	call->session = process->session;
	call->cuts_count = 0;
	read_arguments((struct pt_regs *)ctx[0], call->arguments);
	bpf_tail_call(ctx, &enter_stages, enter_shapes[number]);
	return 0;
}
