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

char LICENSE[] SEC("license") = "Dual MIT/GPL";
