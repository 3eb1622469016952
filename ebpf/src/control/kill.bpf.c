// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: every signal that a traced process sends, to whom it really went: one for each process of a group.
 *
 * Hook: raw_tp/signal_generate, in __send_signal_locked() of the sender. It is also the place of signals that the
 * kernel makes itself, for whatever is running on the CPU: their code says so.
 */
#include "call_event.h"
#include "config.h"
#include "ring.h"
#include "tree.h"

#define MADE_BY_KERNEL ((__u64)1) /* SEND_SIG_PRIV; SEND_SIG_NOINFO, 0, is a user's without more to say */
#define OVERFLOW 3		  /* TRACE_SIGNAL_OVERFLOW_FAIL: there was no room for it, and it was not sent */

/* A timer's signal, say, is made while anybody runs. */
static __always_inline bool is_made_by_kernel(int code)
{
	switch (code) {
	case -2:  /* SI_TIMER */
	case -3:  /* SI_MESGQ */
	case -4:  /* SI_ASYNCIO */
	case -5:  /* SI_SIGIO */
	case -60: /* SI_ASYNCNL */
		return true;
	}
	return code > 0;
}

SEC("raw_tp/signal_generate")
int agentsight_kill(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 signal = ((__u64 *)ctx)[0];
	struct kernel_siginfo *info = (struct kernel_siginfo *)((__u64 *)ctx)[1];
	struct task_struct *target = (struct task_struct *)((__u64 *)ctx)[2];
	int result = ((__u64 *)ctx)[4];
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 tgid = pid_tgid >> 32;
	struct traced *process = bpf_map_lookup_elem(&tree, &tgid);
	struct kill_event event = {};
	struct task_struct *leader;

	if (!process)
		return 0;
	if ((__u64)info == MADE_BY_KERNEL || result == OVERFLOW ||
	    (info && is_made_by_kernel(BPF_CORE_READ(info, si_code))))
		return 0;
	leader = BPF_CORE_READ(target, group_leader);
	event.header.size = sizeof(event);
	event.header.kind = EVENT_KILL;
	event.header.at = kernel_clock();
	event.header.start = process->start;
	event.header.tgid = tgid;
	event.header.tid = pid_tgid;
	event.header.exec = process->exec;
	event.header.session = process->session;
	event.target_start = task_start_boottime(leader);
	event.target_tgid = BPF_CORE_READ(leader, tgid);
	event.signal = signal;
	emit_data(ctx, &event, sizeof(event), LOSS_CALL);
	return 0;
}
