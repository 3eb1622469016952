// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: descriptors that are sent and received over unix sockets (SCM_RIGHTS).
 *
 * Hook: sys_exit, by a tail call when the call's transfers are counted (src/burst/). The control message is
 * the caller's; the descriptors in it are looked up among the caller's own, so that what it says can at worst be that
 * another of its files was passed.
 */
#include "descriptor.h"
#include "user_message.h"

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define CONTROLS_MAX 2
/* A program looks at so many and then tail-calls itself, so that it stays small for the verifier. */
#define DESCRIPTORS_PER_CALL 2

static __always_inline int rights(__u64 *ctx, struct call *call, void *stages)
{
	const struct move *over;

	over = &call->moves[0];
	for (int i = 0; i < DESCRIPTORS_PER_CALL; i++) {
		struct file *file;
		__s32 fd = -1;

		if (!call->rights_left)
			return 0;
		bpf_probe_read_user(&fd, sizeof(fd), (void *)call->user_rights);
		call->user_rights += sizeof(fd);
		call->rights_left--;
		file = file_of(fd);
		if (file)
			say_pass(ctx, call, file, over, !(over->slot & 1));
	}
	bpf_tail_call(ctx, stages, STAGE_RIGHTS);
	/* The kernel allows 33 tail calls; a message may carry 253 descriptors. */
	if (call->rights_left) {
		count_made(call->session, LOSS_CALL);
		count_lost(call->session, LOSS_CALL);
	}
	return 0;
}

STAGE(rights)

static __always_inline int pass(__u64 *ctx, struct call *call, void *stages)
{
	struct user_msghdr message;
	__u64 at, end;

	if (!call->moves[0].burst || bpf_probe_read_user(&message, sizeof(message), (void *)call->arguments[1]))
		return 0;
	at = message.control;
	end = at + message.control_length;
	for (int i = 0; i < CONTROLS_MAX; i++) {
		struct user_cmsghdr control;

		if (at + sizeof(control) > end || bpf_probe_read_user(&control, sizeof(control), (void *)at) ||
		    control.length < sizeof(control) || at + control.length > end)
			return 0;
		if (control.level == SOL_SOCKET && control.type == SCM_RIGHTS) {
			call->user_rights = at + sizeof(control);
			call->rights_left = (control.length - sizeof(control)) / sizeof(__s32);
			bpf_tail_call(ctx, stages, STAGE_RIGHTS);
			return 0;
		}
		at += (control.length + 7) & ~7ULL;
	}
	return 0;
}

STAGE(pass)
