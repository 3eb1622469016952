// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: the end of every system call that may matter, and leads it to the program of its class.
 *
 * Hook: sys_exit. There the arguments are still in the registers, and the result is known, so that this one hook does
 * most of the work. It taxes every call of every process, so it goes by the call's number first.
 */
#include "call.h"
#include "registers.h"
#include "shapes.h"

SEC(SYS_EXIT)
int agentsight_sys_exit(__u64 *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	__u64 number = call_number(regs);
	const struct shape *shape;
	struct traced *process;
	struct call *call;
	__u64 *entered_at;
	__u64 pid_tgid;
	__u32 tgid, tid;
	bool compat;

	if (number >= NUMBERS_MAX)
		return 0;
	shape = &shapes[number];
	if (!shape->stage && !compat_traced)
		return 0;
	pid_tgid = bpf_get_current_pid_tgid();
	tgid = pid_tgid >> 32;
	tid = pid_tgid;
	process = bpf_map_lookup_elem(&tree, &tgid);
	if (!process || process->launching)
		return 0;
	compat = is_compat();
	if (!compat && !shape->stage)
		return 0;
	call = current_call();
	if (!call)
		return 0;
	call->now = kernel_clock();
	call->began = call->now;
	call->result = ctx[1];
	call->number = number;
	call->stage = shape->stage;
	call->start = process->start;
	call->tgid = tgid;
	call->tid = tid;
	call->exec = process->exec;
	call->session = process->session;
	call->moves_count = 0;
	call->at = 0;
	call->then = 0;
	call->copies = 0;
	call->far.family = 0;
	read_arguments(regs, call->arguments);
	if (enter_shapes[number] == ENTER_TIME) {
		entered_at = bpf_map_lookup_elem(&entered, &tid);
		if (entered_at)
			call->began = *entered_at;
	}
	bpf_tail_call(ctx, &exit_stages, compat ? EXIT_COMPAT : shape->stage);
	return 0;
}
