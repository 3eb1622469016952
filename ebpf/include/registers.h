/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The number and the arguments of a system call, from the registers that it was entered with. */
#ifndef AGENTSIGHT_REGISTERS_H
#define AGENTSIGHT_REGISTERS_H

#include "call.h"

static __always_inline __u64 call_number(struct pt_regs *regs)
{
#ifdef __TARGET_ARCH_arm64
	return REGISTER(regs, syscallno);
#else
	return REGISTER(regs, orig_ax);
#endif
}

static __always_inline void read_arguments(struct pt_regs *regs, __u64 *arguments)
{
#ifdef __TARGET_ARCH_arm64
	/* The result has taken the place of the first. */
	arguments[0] = REGISTER(regs, orig_x0);
	arguments[1] = REGISTER(regs, regs[1]);
	arguments[2] = REGISTER(regs, regs[2]);
	arguments[3] = REGISTER(regs, regs[3]);
	arguments[4] = REGISTER(regs, regs[4]);
	arguments[5] = REGISTER(regs, regs[5]);
#else
	arguments[0] = REGISTER(regs, di);
	arguments[1] = REGISTER(regs, si);
	arguments[2] = REGISTER(regs, dx);
	arguments[3] = REGISTER(regs, r10);
	arguments[4] = REGISTER(regs, r8);
	arguments[5] = REGISTER(regs, r9);
#endif
}

/* A 32-bit call of a 64-bit kernel has numbers of its own. */
static __always_inline bool is_compat(void)
{
#ifdef __TARGET_ARCH_arm64
	return false;
#else
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.status) & 2; /* TS_COMPAT */
#endif
}

#endif
