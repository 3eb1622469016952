// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: the end of open files, when their last descriptor goes: by close, close_range, dup2 and dup3.
 *
 * Hook: sys_enter, by tail calls from src/syscall/enter.bpf.c: at the exit the file is gone. That a call will fail is
 * found out as the kernel will find it out.
 */
#include "bursts.h"
#include "descriptor.h"

/* Ends what the current image has under way over an open file whose last descriptor goes, and says that it is gone. */
static __always_inline void close_last(void *ctx, const struct call *call, __s32 fd, __u32 why)
{
	struct file *file = file_of(fd);
	struct burst_key key = {.tgid = call->tgid};
	struct close_event event = {};
	struct open_file *open;
	__u64 at = (__u64)file;
	__u32 session;

	if (!file || references_to(file) > 1)
		return;
	open = bpf_map_lookup_elem(&opens, &at);
	if (!open)
		return;
	key.open = open->id;
	session = open->session;
	if (session) {
		for (__u32 slot = BURST_IN; slot <= BURST_MAPPED_IN; slot++) {
			key.image = call->exec << 2 | slot;
			cut_burst(ctx, &key, call->now, why);
		}
	}
	if (bpf_map_delete_elem(&opens, &at) || session != call->session)
		return;
	fill_header(&event.header, call, EVENT_CLOSE, sizeof(event));
	event.open = key.open;
	emit_data(ctx, &event, sizeof(event), LOSS_OPEN);
}

SEC(SYS_ENTER)
int agentsight_close(__u64 *ctx)
{
	struct call *call = current_call();

	if (call)
		close_last(ctx, call, call->arguments[0], CUT_CLOSE);
	return 0;
}

SEC(SYS_ENTER)
int agentsight_replace(__u64 *ctx)
{
	struct call *call = current_call();

	/* Nothing is closed where the old descriptor is not open, or is the new one. */
	if (call && call->arguments[0] != call->arguments[1] && file_of(call->arguments[0]))
		close_last(ctx, call, call->arguments[1], CUT_CLOSE);
	return 0;
}

#define CLOSE_RANGE_CLOEXEC 4
#define CLOSED_PER_CALL 32

SEC(SYS_ENTER)
int agentsight_close_range(__u64 *ctx)
{
	struct call *call = current_call();
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
	/* At most 33 times: 1,056 descriptors. */
	bpf_tail_call(ctx, &enter_stages, ENTER_CLOSE_RANGE);
	return 0;
}
