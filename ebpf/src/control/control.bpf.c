// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: what processes do to each other and to themselves: waits, taken descriptors, other ids, tracing, other memory,
 * namespaces, mounts, modules, io_uring, 32-bit calls.
 *
 * Hook: sys_exit, by a tail call from src/syscall/exit.bpf.c; the ids before a change come from sys_enter.
 */
#include "bursts.h"
#include "call_event.h"
#include "descriptor.h"
#include "opens.h"
#include "requests.h"

/* Effective ids at the enter of a call that may change them: a thread's, in one word. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* tid */
	__type(value, __u64);
} ids_before SEC(".maps");

static __always_inline __u64 effective_ids(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return (__u64)BPF_CORE_READ(task, cred, euid.val) << 32 | BPF_CORE_READ(task, cred, egid.val);
}

SEC(SYS_ENTER)
int agentsight_note_ids(__u64 *ctx)
{
	struct call *call = entered_call();
	__u64 ids = effective_ids();

	(void)ctx;
	if (call)
		bpf_map_update_elem(&ids_before, &call->tid, &ids, BPF_ANY);
	return 0;
}

/* Only when they are other ids than before. */
static __always_inline void say_ids(void *ctx, const struct call *call, bool group)
{
	__u64 *before = bpf_map_lookup_elem(&ids_before, &call->tid);
	__u64 now = effective_ids();

	if (call->result < 0 || !before)
		return;
	if (group && (__u32)*before != (__u32)now)
		say_call(ctx, call, CALL_SETGID, (__u32)now, 0);
	else if (!group && *before >> 32 != now >> 32)
		say_call(ctx, call, CALL_SETUID, now >> 32, 0);
}

#define WAIT_UNTRACED 2
#define WAIT_CONTINUED 8
#define STOPPED 0x7f
#define CONTINUED 0xffff

static __always_inline void say_wait(void *ctx, const struct call *call, __u32 child_vpid)
{
	struct wait_event event = {};

	fill_header(&event.header, call, EVENT_WAIT, sizeof(event));
	event.child_vpid = child_vpid;
	emit_data(ctx, &event, sizeof(event), LOSS_CALL);
}

static __always_inline void see_wait4(void *ctx, const struct call *call)
{
	__u32 status = 0;

	if (call->result <= 0)
		return;
	/* A child that stopped has not ended; where the caller did not ask which, it had no way to stop. */
	if (call->arguments[1]) {
		if (bpf_probe_read_user(&status, sizeof(status), (void *)call->arguments[1]))
			return;
		if ((status & 0xff) == STOPPED || status == CONTINUED)
			return;
	} else if (call->arguments[2] & (WAIT_UNTRACED | WAIT_CONTINUED)) {
		return;
	}
	say_wait(ctx, call, call->result);
}

/* As waitid() fills it in, 64-bit. */
struct user_child_info {
	__s32 signal;
	__s32 error;
	__s32 code;
	__s32 padding;
	__s32 vpid;
};

#define CHILD_DUMPED 3 /* CLD_DUMPED; 1 is exited and 2 killed */

static __always_inline void see_waitid(void *ctx, const struct call *call)
{
	struct user_child_info info;

	/* Without a place for the answer nobody was told which child it was. */
	if (call->result < 0 || !call->arguments[2])
		return;
	if (bpf_probe_read_user(&info, sizeof(info), (void *)call->arguments[2]))
		return;
	if (info.vpid > 0 && info.code >= 1 && info.code <= CHILD_DUMPED)
		say_wait(ctx, call, info.vpid);
}

static __always_inline void say_pass(void *ctx, const struct call *call, struct file *file, const struct move *over,
				     bool received)
{
	struct open_file *open = find_open(file);
	struct pass_event event = {};

	if (!open) {
		count_made(call->session, LOSS_CALL);
		count_lost(call->session, LOSS_CALL);
		return;
	}
	announce(ctx, call, file, open);
	fill_header(&event.header, call, EVENT_PASS, sizeof(event));
	if (received)
		event.header.flags |= PASS_RECEIVED;
	event.open = open->id;
	if (over) {
		event.header.flags |= PASS_OVER_BURST;
		event.over_open = over->open;
		event.over_burst = over->burst;
	}
	emit_data(ctx, &event, sizeof(event), LOSS_CALL);
}

static __always_inline __u64 port_of(__s32 fd)
{
	struct file *file = file_of(fd);
	struct sock *sock;
	__u16 family;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	sock = sock_of(file);
	family = BPF_CORE_READ(sock, __sk_common.skc_family);
	return family == AF_INET || family == AF_INET6 ? BPF_CORE_READ(sock, __sk_common.skc_num) : 0;
}

#define SHM_RDONLY 010000

/* struct io_uring_params: sq_entries, cq_entries, flags. */
#define RING_FLAGS_AT 8

/* Requests of ptrace that begin it, or write to the other process; the others are too many, and change nothing. */
static __always_inline bool is_telling_ptrace(__u64 request)
{
	switch (request) {
	case 0:	     /* PTRACE_TRACEME */
	case 4:	     /* PTRACE_POKETEXT */
	case 5:	     /* PTRACE_POKEDATA */
	case 16:     /* PTRACE_ATTACH */
	case 0x4206: /* PTRACE_SEIZE */
		return true;
	}
	return false;
}

SEC(SYS_EXIT)
int agentsight_control(__u64 *ctx)
{
	struct call *call = current_call();
	__u64 *argument;
	struct file *file;
	__u32 flags = 0;

	if (!call)
		return 0;
	argument = call->arguments;
	switch (call->number) {
	case __NR_wait4:
		see_wait4(ctx, call);
		break;
	case __NR_waitid:
		see_waitid(ctx, call);
		break;
	case 438: /* pidfd_getfd, since 5.6 */
		file = call->result >= 0 ? file_of(call->result) : NULL;
		if (file)
			say_pass(ctx, call, file, NULL, true);
		break;
	case __NR_setuid:
	case __NR_setreuid:
	case __NR_setresuid:
		say_ids(ctx, call, false);
		break;
	case __NR_setgid:
	case __NR_setregid:
	case __NR_setresgid:
		say_ids(ctx, call, true);
		break;
	case __NR_ptrace:
		if (is_telling_ptrace(argument[0]))
			say_call(ctx, call, CALL_PTRACE, argument[0], argument[1]);
		break;
	case __NR_process_vm_writev:
		say_call(ctx, call, CALL_PROCESS_VM_WRITEV, call->result < 0 ? 0 : call->result, argument[0]);
		break;
	case __NR_process_vm_readv:
		say_call(ctx, call, CALL_PROCESS_VM_READV, call->result < 0 ? 0 : call->result, argument[0]);
		break;
	case __NR_bind:
		say_call(ctx, call, CALL_BIND, port_of(argument[0]), 0);
		break;
	case __NR_listen:
		say_call(ctx, call, CALL_LISTEN, argument[1], port_of(argument[0]));
		break;
	case __NR_mmap:
		say_call(ctx, call, CALL_MAP_SHARED, argument[1], argument[5]);
		break;
	case __NR_shmat:
		if (call->result >= 0 && !(argument[2] & SHM_RDONLY))
			say_call(ctx, call, CALL_MAP_SHARED, 0, 0);
		break;
	case __NR_memfd_create:
		say_call(ctx, call, CALL_MEMFD_CREATE, 0, 0);
		break;
	case 425: /* io_uring_setup, since 5.1 */
		bpf_probe_read_user(&flags, sizeof(flags), (void *)(argument[1] + RING_FLAGS_AT));
		say_call(ctx, call, requests_are_followed() ? CALL_IO_URING_FOLLOWED : CALL_IO_URING_SETUP, argument[0],
			 flags);
		break;
	case __NR_chroot:
	case __NR_pivot_root:
		say_call(ctx, call, CALL_CHROOT, 0, 0);
		break;
	case __NR_unshare:
		say_call(ctx, call, CALL_NAMESPACES, argument[0], 0);
		break;
	case __NR_setns:
		say_call(ctx, call, CALL_NAMESPACES, argument[1], 0);
		break;
	case __NR_mount:
	case __NR_umount2:
	case 429: /* move_mount, since 5.2 */
		say_call(ctx, call, CALL_MOUNT, 0, 0);
		break;
	case __NR_bpf:
		say_call(ctx, call, CALL_BPF, argument[0], 0);
		break;
	case __NR_init_module:
	case __NR_finit_module:
		say_call(ctx, call, CALL_LOAD_MODULE, 0, 0);
		break;
	}
	return 0;
}

/* 32-bit calls that were said, so that each is said once a process. */
struct compat_key {
	__u64 start;
	__u32 tgid;
	__u32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct compat_key);
	__type(value, __u8);
} compat_said SEC(".maps");

/* Calls that other hooks see, whatever their number: fork, execve, clone, vfork, execveat, clone3. */
static __always_inline bool is_seen_elsewhere(__u32 number)
{
	switch (number) {
	case 2:
	case 11:
	case 120:
	case 190:
	case 358:
	case 435:
		return true;
	}
	return false;
}

SEC(SYS_EXIT)
int agentsight_compat(__u64 *ctx)
{
	struct call *call = current_call();
	struct compat_key key = {};
	__u8 one = 1;

	if (!call || is_seen_elsewhere(call->number))
		return 0;
	key.start = call->start;
	key.tgid = call->tgid;
	key.number = call->number;
	if (!bpf_map_update_elem(&compat_said, &key, &one, BPF_NOEXIST))
		say_call(ctx, call, CALL_COMPAT_CALL, call->number, 0);
	return 0;
}
