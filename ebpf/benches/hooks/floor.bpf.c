// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* Sees nothing: what hooks on system calls cost when their programs do nothing, the least that any program can cost. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tp_btf/sys_exit")
int floor_tp_btf_exit(void)
{
	return 0;
}

SEC("tp_btf/sys_enter")
int floor_tp_btf_enter(void)
{
	return 0;
}

SEC("raw_tp/sys_exit")
int floor_raw_tp_exit(void)
{
	return 0;
}

SEC("raw_tp/sys_enter")
int floor_raw_tp_enter(void)
{
	return 0;
}

/* One on each of the others, so that the kernel keeps the account of each. */
#define BESIDE(hook)                                                                                                   \
	SEC("raw_tp/" #hook)                                                                                           \
	int floor_##hook(void)                                                                                         \
	{                                                                                                              \
		return 0;                                                                                              \
	}

BESIDE(sched_process_fork)
BESIDE(sched_process_exec)
BESIDE(sched_process_exit)
BESIDE(inet_sock_set_state)
BESIDE(signal_generate)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} nobody SEC(".maps");

/* What a program costs that asks whose call it was, on a perf event of one system call. */
SEC("tracepoint")
int floor_of_one_call(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 *found = bpf_map_lookup_elem(&nobody, &tgid);

	if (found)
		__sync_fetch_and_add(found, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
