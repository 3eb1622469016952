// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees nothing: one empty program for each kind of hook, to find out which kinds this kernel lets us attach.
 *
 * The kprobe and the fentry program go to bpf_fentry_test1(), which the kernel has for its own tests and never calls.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sched_process_exit")
int try_raw_tp(void)
{
	return 0;
}

SEC("tp_btf/sched_process_exit")
int try_tp_btf(void)
{
	return 0;
}

SEC("kprobe/bpf_fentry_test1")
int try_kprobe(void)
{
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int try_fentry(void)
{
	return 0;
}

SEC("lsm/file_open")
int try_lsm(void)
{
	return 0;
}

SEC("iter/task")
int try_iter_task(void)
{
	return 0;
}

SEC("iter/task_file")
int try_iter_task_file(void)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
