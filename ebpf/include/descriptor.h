/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* From a descriptor of the current task to its open file. */
#ifndef AGENTSIGHT_DESCRIPTOR_H
#define AGENTSIGHT_DESCRIPTOR_H

#include "kernel.h"

static __always_inline struct file *file_of(__s32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files;
	struct file *file = NULL;

	if (fd < 0 || (__u32)fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + (__u32)fd);
	return file;
}

/* How many descriptors, of whatever processes, and calls in progress share it. */
static __always_inline __u64 references_to(struct file *file)
{
	if (bpf_core_field_exists(file->f_ref))
		return BPF_CORE_READ(file, f_ref.refcnt.counter) + 1;
	return BPF_CORE_READ((struct file___before_6_13 *)file, f_count.counter);
}

/* Nobody holds it any more, though its memory is still there. */
static __always_inline bool is_gone(struct file *file)
{
	/* What counts one less than there are is at first -1, then a mark with the highest bit. */
	if (bpf_core_field_exists(file->f_ref))
		return BPF_CORE_READ(file, f_ref.refcnt.counter) < 0;
	return BPF_CORE_READ((struct file___before_6_13 *)file, f_count.counter) <= 0;
}

#endif
