/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Walks the control group of a task up to the root of its hierarchy, race-free: user space, which learns of
 * the exec later, would find the process gone from /proc, or its group removed.
 *
 * The unified hierarchy comes first. A host whose controllers are still those of cgroup v1 leaves everything
 * in its root there, so where the task is in that root, a controller that engines always use says where it is.
 */
#ifndef AGENTSIGHT_CGROUP_H
#define AGENTSIGHT_CGROUP_H

#include "event.h"
#include "kernel.h"

#define CGROUP_COMPONENTS_MAX 16
#define CGROUP_COMPONENT_BYTES_MAX 256 /* NAME_MAX and the NUL */

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(node->__parent))
		return BPF_CORE_READ(node, __parent);
	return BPF_CORE_READ((struct kernfs_node___before_6_15 *)node, parent);
}

/* The task's directory in the hierarchy of a v1 controller; NULL where the kernel was built without it. */
static __always_inline struct kernfs_node *controller_node(struct css_set *set, __u32 controller)
{
	struct cgroup_subsys_state *state = NULL;
	void *states = (void *)set + bpf_core_field_offset(struct css_set, subsys);

	bpf_probe_read_kernel(&state, sizeof(state), states + controller * sizeof(state));
	return BPF_CORE_READ(state, cgroup, kn);
}

static __always_inline struct kernfs_node *cgroup_node(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *unified = BPF_CORE_READ(set, dfl_cgrp, kn);
	struct kernfs_node *node;

	if (kernfs_parent(unified))
		return unified;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		node = controller_node(set, bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
		if (kernfs_parent(node))
			return node;
	}
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		node = controller_node(set, bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
		if (kernfs_parent(node))
			return node;
	}
	return unified;
}

/* As walk_path(): components, leaf first, appended to data at *used, which stays below limit. Returns PART_ flags. */
static __always_inline __u32 walk_cgroup(unsigned char *data, __u32 *used, __u32 limit, struct task_struct *task)
{
	struct kernfs_node *node = cgroup_node(task);

	for (int i = 0; i < CGROUP_COMPONENTS_MAX; i++) {
		struct kernfs_node *parent = kernfs_parent(node);
		const char *name;
		long length;
		__u64 at;

		if (!parent)
			return 0;
		name = BPF_CORE_READ(node, name);
		at = *used;
		/* As there: it stays in a register until the call. */
		barrier_var(at);
		if (at > limit - CGROUP_COMPONENT_BYTES_MAX)
			return PART_TRUNCATED;
		length = bpf_probe_read_kernel_str(data + at, CGROUP_COMPONENT_BYTES_MAX, name);
		if (length < 0)
			return PART_UNREADABLE;
		*used += length;
		node = parent;
	}
	return kernfs_parent(node) ? PART_TRUNCATED : 0;
}

#endif
