// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: every image that a traced process starts: its file, arguments, directory, ids, and five variables
 * of its environment; where a daemon has rules, also those of processes that nobody traces, without their environment.
 *
 * Hook: raw_tp/sched_process_exec, in exec_binprm() after the new mm was committed and before its first
 * instruction: nobody can have rewritten the arguments yet, and their pages are still resident, having just
 * been written. The exec is read from the committed mm, never from the pointers that the caller passed.
 */
#include "cgroup.h"
#include "config.h"
#include "copies.h"
#include "environment.h"
#include "path.h"
#include "ring.h"
#include "tree.h"
#include "watch.h"

#define ARGS_BYTES_MAX 12288
#define ARGS_CHUNK_BYTES 1024
#define REQUESTED_BYTES_MAX 1024
#define DATA_BYTES_MAX 28672

struct exec_record {
	struct exec_event event;
	unsigned char data[DATA_BYTES_MAX];
};

struct exec_scratch {
	struct exec_record record;
	__u32 used; /* bytes of record.data */
	struct environment environment;
};

/* An exec event is larger than the 512 bytes of stack. A program does not nest on one CPU, but its copies may. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COPIES);
	__type(key, __u32);
	__type(value, struct exec_scratch);
} exec_scratch SEC(".maps");

/* In chunks, so that one page that is not resident costs its chunk and not everything. Comes first, at 0. */
static __always_inline void capture_args(struct exec_scratch *scratch, struct mm_struct *mm)
{
	struct exec_part_head *part = &scratch->record.event.parts[EXEC_PART_ARGS];
	__u64 user_args = BPF_CORE_READ(mm, arg_start);
	__u64 total = BPF_CORE_READ(mm, arg_end) - user_args;

	part->total = total;
	scratch->used = 0;
	for (__u32 done = 0; done < ARGS_BYTES_MAX; done += ARGS_CHUNK_BYTES) {
		__u64 left = total - done;

		if (done >= total)
			break;
		if (left > ARGS_CHUNK_BYTES)
			left = ARGS_CHUNK_BYTES;
		if (bpf_probe_read_user(scratch->record.data + done, left, (void *)(user_args + done))) {
			part->flags |= PART_UNREADABLE;
			break;
		}
		scratch->used = done + left;
	}
	if (total > ARGS_BYTES_MAX)
		part->flags |= PART_TRUNCATED;
	part->length = scratch->used;
}

static __always_inline void capture_requested(struct exec_scratch *scratch, struct linux_binprm *bprm)
{
	struct exec_part_head *part = &scratch->record.event.parts[EXEC_PART_REQUESTED];
	__u32 at = scratch->used;
	long length;

	if (at > DATA_BYTES_MAX - REQUESTED_BYTES_MAX) {
		part->flags = PART_TRUNCATED;
		return;
	}
	length = bpf_probe_read_kernel_str(scratch->record.data + at, REQUESTED_BYTES_MAX,
					   BPF_CORE_READ(bprm, filename));
	if (length < 0) {
		part->flags = PART_UNREADABLE;
		return;
	}
	if (length == REQUESTED_BYTES_MAX)
		part->flags = PART_TRUNCATED;
	part->length = length;
	scratch->used = at + length;
}

static __always_inline void capture_path(struct exec_scratch *scratch, enum exec_part which, struct path *path,
					 struct path *root)
{
	struct exec_part_head *part = &scratch->record.event.parts[which];
	__u32 before = scratch->used;

	part->flags = walk_path(scratch->record.data, &scratch->used, DATA_BYTES_MAX, path, root);
	part->length = scratch->used - before;
}

static __always_inline void capture_cgroup(struct exec_scratch *scratch, struct task_struct *task)
{
	struct exec_part_head *part = &scratch->record.event.parts[EXEC_PART_CGROUP];
	__u32 before = scratch->used;

	part->flags = walk_cgroup(scratch->record.data, &scratch->used, DATA_BYTES_MAX, task);
	part->length = scratch->used - before;
}

static __always_inline void capture_variable(struct exec_scratch *scratch, enum variable variable)
{
	struct exec_part_head *part = &scratch->record.event.parts[EXEC_PART_TRACEPARENT + variable];
	__u64 user_value = scratch->environment.user_values[variable];
	__u32 at = scratch->used;
	long length;

	if (!user_value) {
		part->flags = PART_ABSENT;
		return;
	}
	if (at > DATA_BYTES_MAX - VALUE_BYTES_MAX) {
		part->flags = PART_TRUNCATED;
		return;
	}
	length = bpf_probe_read_user_str(scratch->record.data + at, VALUE_BYTES_MAX, (void *)user_value);
	if (length < 0) {
		part->flags = PART_UNREADABLE;
		return;
	}
	if (length == VALUE_BYTES_MAX)
		part->flags = PART_TRUNCATED;
	part->length = length;
	scratch->used = at + length;
}

static __always_inline int emit_exec(void *ctx, struct exec_scratch *scratch)
{
	__u64 size;

	capture_variable(scratch, VARIABLE_TRACEPARENT);
	capture_variable(scratch, VARIABLE_TRACESTATE);
	capture_variable(scratch, VARIABLE_BAGGAGE);
	capture_variable(scratch, VARIABLE_SERVICE_NAME);
	capture_variable(scratch, VARIABLE_RESOURCE_ATTRIBUTES);
	end_search(&scratch->environment);

	size = scratch->used;
	if (size > DATA_BYTES_MAX)
		size = DATA_BYTES_MAX;
	size += sizeof(struct exec_event);
	scratch->record.event.header.size = size;
	emit(ctx, &scratch->record, size, LOSS_EXEC);
	return 0;
}

/* The second half of an exec: only ever reached by a tail call, from the first half or from itself. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, COPIES);
	__type(key, __u32);
	__type(value, __u32);
} exec_environment SEC(".maps");

static __always_inline int see_exec_environment(struct bpf_raw_tracepoint_args *ctx, __u32 copy)
{
	struct exec_scratch *scratch;
	enum search search;

	scratch = bpf_map_lookup_elem(&exec_scratch, &copy);
	if (!scratch) {
		count_made(0, LOSS_EXEC);
		count_lost(0, LOSS_EXEC);
		return 0;
	}
	search = search_environment(&scratch->environment);
	if (search == SEARCH_GOES_ON)
		bpf_tail_call(ctx, &exec_environment, copy);
	/* A tail call that returns has failed: then the search ends here, incomplete. */
	if (search != SEARCH_COMPLETE)
		scratch->record.event.header.flags |= EXEC_ENVIRONMENT_INCOMPLETE;
	return emit_exec(ctx, scratch);
}

static __always_inline int see_exec(struct bpf_raw_tracepoint_args *ctx, __u32 copy)
{
	struct task_struct *task = (struct task_struct *)((__u64 *)ctx)[0];
	__u32 caller_tid = ((__u64 *)ctx)[1];
	struct linux_binprm *bprm = (struct linux_binprm *)((__u64 *)ctx)[2];
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct traced *process = bpf_map_lookup_elem(&tree, &tgid);
	struct traced nobodys = {};
	struct exec_scratch *scratch;
	struct exec_event *event;
	struct task_struct *parent;
	struct path path, root;
	struct mm_struct *mm;
	__u32 sources = 0, followed = 0;
	__u32 exec_id;

	exec_id = task_exec_id(task);
	if (process) {
		if (process->exec_id == exec_id)
			return 0;
		process->exec_id = exec_id;
		process->exec++;
		note_compat(task);
		sources = process->sources;
		followed = process->followed;
		process->launching = 0;
		process->sources = 0;
		process->followed = 0;
	} else {
		if (!execs_are_watched())
			return 0;
		nobodys.start = task_start_boottime(BPF_CORE_READ(task, group_leader));
		process = &nobodys;
	}
	scratch = bpf_map_lookup_elem(&exec_scratch, &copy);
	if (!scratch) {
		/* Cannot happen: each copy has its place. Said all the same. */
		count_made(process->session, LOSS_EXEC);
		count_lost(process->session, LOSS_EXEC);
		return 0;
	}

	event = &scratch->record.event;
	__builtin_memset(event, 0, sizeof(*event));
	event->header.kind = EVENT_EXEC;
	event->header.at = kernel_clock();
	event->header.start = process->start;
	event->header.tgid = tgid;
	event->header.tid = caller_tid;
	event->header.exec = process->exec;
	event->flow_before = followed;
	event->flow_now = sources;
	event->header.session = process->session;
	parent = BPF_CORE_READ(task, real_parent, group_leader);
	event->parent_start = task_start_boottime(parent);
	event->parent_tgid = BPF_CORE_READ(parent, tgid);
	event->vpid = task_vpid(task);
	event->uid = BPF_CORE_READ(task, cred, uid.val);
	event->gid = BPF_CORE_READ(task, cred, gid.val);
	event->euid = BPF_CORE_READ(task, cred, euid.val);
	event->egid = BPF_CORE_READ(task, cred, egid.val);
	event->cgroup_id = bpf_get_current_cgroup_id();

	mm = BPF_CORE_READ(task, mm);
	capture_args(scratch, mm);
	capture_requested(scratch, bprm);
	root.dentry = BPF_CORE_READ(task, fs, root.dentry);
	root.mnt = BPF_CORE_READ(task, fs, root.mnt);
	path.dentry = BPF_CORE_READ(mm, exe_file, f_path.dentry);
	path.mnt = BPF_CORE_READ(mm, exe_file, f_path.mnt);
	capture_path(scratch, EXEC_PART_EXECUTABLE, &path, &root);
	path.dentry = BPF_CORE_READ(task, fs, pwd.dentry);
	path.mnt = BPF_CORE_READ(task, fs, pwd.mnt);
	capture_path(scratch, EXEC_PART_WORKING_DIRECTORY, &path, &root);
	capture_cgroup(scratch, task);

	/* Nobody may read what is in the environment of a process that is not traced. */
	if (process == &nobodys) {
		begin_search(&scratch->environment, 0, 0);
		return emit_exec(ctx, scratch);
	}
	begin_search(&scratch->environment, BPF_CORE_READ(mm, env_start), BPF_CORE_READ(mm, env_end));
	bpf_tail_call(ctx, &exec_environment, copy);
	event->header.flags |= EXEC_ENVIRONMENT_INCOMPLETE;
	return emit_exec(ctx, scratch);
}

SEC("raw_tp/sched_process_exec")
int agentsight_exec_environment(struct bpf_raw_tracepoint_args *ctx)
{
	return see_exec_environment(ctx, COPY_FIRST);
}

SEC("raw_tp/sched_process_exec")
int agentsight_exec(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_exec(ctx, COPY_FIRST);
}

SEC("raw_tp/sched_process_exec")
int agentsight_exec_environment_again(struct bpf_raw_tracepoint_args *ctx)
{
	return see_exec_environment(ctx, COPY_SECOND);
}

SEC("raw_tp/sched_process_exec")
int agentsight_exec_again(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_exec(ctx, COPY_SECOND);
}

SEC("raw_tp/sched_process_exec")
int agentsight_exec_environment_once_more(struct bpf_raw_tracepoint_args *ctx)
{
	return see_exec_environment(ctx, COPY_THIRD);
}

SEC("raw_tp/sched_process_exec")
int agentsight_exec_once_more(struct bpf_raw_tracepoint_args *ctx)
{
	note_seen();
	return see_exec(ctx, COPY_THIRD);
}

SEC("raw_tp/sched_process_exec")
int agentsight_exec_witness(void)
{
	return bear_witness();
}
