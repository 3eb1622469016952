// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: the end of a traced process, when its last thread ends, and of the open files that end with it.
 *
 * Hook: raw_tp/sched_process_exit, in do_exit() of each thread, after signal->live was counted down and
 * task->exit_code was set, and before the descriptors are closed, which makes no system call. From 6.16 a second
 * argument says whether the group is dead; signal->live says the same on every kernel.
 */
#include "adopt.h"
#include "closes.h"
#include "copies.h"

/* So many descriptors a program looks at, and then tail-calls itself, 32 times at most; half a word. */
#define CLOSED_AT_EXIT 32
#define WORD_BITS 64

struct ending {
	struct exit_event event;
	struct call call; /* as which the descriptors are closed */
	__u32 next_fd;
	__u32 fds;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COPIES);
	__type(key, __u32);
	__type(value, struct ending);
} ending_scratch SEC(".maps");

/* The second half of an exit: only ever reached by a tail call, from the first half or from itself. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, COPIES);
	__type(key, __u32);
	__type(value, __u32);
} exit_files SEC(".maps");

/* Which descriptors of the current task are open, a bit for each from this one on, as far as their word goes. */
static __always_inline __u64 open_from(__u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	unsigned long *words = BPF_CORE_READ(task, files, fdt, open_fds);
	__u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), words + fd / WORD_BITS);
	return word >> fd % WORD_BITS;
}

static __always_inline int see_exit_files(struct bpf_raw_tracepoint_args *ctx, __u32 copy)
{
	struct ending *ending = bpf_map_lookup_elem(&ending_scratch, &copy);
	__u64 open;

	if (!ending)
		return 0;
	open = open_from(ending->next_fd);
	for (int i = 0; i < CLOSED_AT_EXIT; i++) {
		__u32 fd = ending->next_fd;

		if (fd >= ending->fds)
			break;
		ending->next_fd = fd + 1;
		if (open & 1ULL << i)
			close_last(ctx, &ending->call, fd, CUT_EXIT);
	}
	if (ending->next_fd < ending->fds)
		bpf_tail_call(ctx, &exit_files, copy);
	/* A tail call that returns has failed: there are more descriptors than so many calls see. */
	emit(ctx, &ending->event, sizeof(ending->event), LOSS_EXIT);
	return 0;
}

/* How many descriptors end with the process: none where another process shares the table. */
static __always_inline __u32 descriptors_of(struct task_struct *task)
{
	struct files_struct *files = BPF_CORE_READ(task, files);

	/* Its other threads may not have let go of the table yet. */
	if (BPF_CORE_READ(files, count.counter) > BPF_CORE_READ(task, signal, nr_threads))
		return 0;
	return BPF_CORE_READ(files, fdt, max_fds);
}

static __always_inline int see_exit(struct bpf_raw_tracepoint_args *ctx, __u32 copy)
{
	struct task_struct *task = (struct task_struct *)((__u64 *)ctx)[0];
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	__u32 tgid = pid_tgid >> 32;
	struct traced *process = bpf_map_lookup_elem(&tree, &tgid);
	struct adopting *adopting = being_adopted();
	struct signal_struct *signal;
	struct task_struct *leader;
	struct exit_event *event;
	struct ending *ending;
	__u32 status, above;

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
		status = BPF_CORE_READ(signal, group_exit_code);
	} else {
		/*
		 * Only where the kernel has no signal->quick_threads: with it the last thread's code is the group's.
		 * A leader that was counted down at the same time may not have set its code yet. It sets it before
		 * it gives up its mm, and comes here only after that, so it will find live at 0 and speak.
		 */
		leader = BPF_CORE_READ(task, group_leader);
		if (leader != task && BPF_CORE_READ(leader, mm))
			return 0;
		status = BPF_CORE_READ(leader, exit_code);
	}

	ending = bpf_map_lookup_elem(&ending_scratch, &copy);
	if (!ending) {
		/* Cannot happen: each copy has its place. Said all the same. */
		count_made(process->session, LOSS_EXIT);
		count_lost(process->session, LOSS_EXIT);
		return 0;
	}
	event = &ending->event;
	__builtin_memset(event, 0, sizeof(*event));
	event->header.size = sizeof(*event);
	event->header.kind = EVENT_EXIT;
	event->header.at = kernel_clock();
	event->header.start = process->start;
	event->header.tgid = tgid;
	event->header.tid = pid_tgid;
	event->header.exec = process->exec;
	event->header.session = process->session;
	event->status = status;
	/* Two threads that end at once may both find live at 0: the one that removes the entry speaks. */
	if (bpf_map_delete_elem(&tree, &tgid))
		return 0;
	ending->call.now = event->header.at;
	ending->call.start = event->header.start;
	ending->call.tgid = tgid;
	ending->call.tid = pid_tgid;
	ending->call.exec = event->header.exec;
	ending->call.session = event->header.session;
	ending->next_fd = 0;
	ending->fds = descriptors_of(task);
	bpf_tail_call(ctx, &exit_files, copy);
	emit(ctx, event, sizeof(*event), LOSS_EXIT);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int agentsight_exit_files(struct bpf_raw_tracepoint_args *ctx)
{
	return see_exit_files(ctx, COPY_FIRST);
}

SEC("raw_tp/sched_process_exit")
int agentsight_exit(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_exit(ctx, COPY_FIRST);
}

SEC("raw_tp/sched_process_exit")
int agentsight_exit_files_again(struct bpf_raw_tracepoint_args *ctx)
{
	return see_exit_files(ctx, COPY_SECOND);
}

SEC("raw_tp/sched_process_exit")
int agentsight_exit_again(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_exit(ctx, COPY_SECOND);
}

SEC("raw_tp/sched_process_exit")
int agentsight_exit_files_once_more(struct bpf_raw_tracepoint_args *ctx)
{
	return see_exit_files(ctx, COPY_THIRD);
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
