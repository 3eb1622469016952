/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Walks a path from its dentry up to the process's root, across mounts.
 *
 * bpf_d_path() is refused in raw tracepoints, and the string that the caller
 * passed is the caller's to change at any moment, so neither will do. The
 * components are written leaf first, each ended by NUL; user space turns them
 * round, which spares the verifier a buffer that grows backwards.
 */
#ifndef AGENTSIGHT_PATH_H
#define AGENTSIGHT_PATH_H

#include "event.h"
#include "kernel.h"

#define PATH_COMPONENTS_MAX 40
#define PATH_COMPONENT_BYTES_MAX 256 /* NAME_MAX and the NUL */

/*
 * Appends to data at *used, which stays below limit - PATH_COMPONENT_BYTES_MAX before each component, and
 * returns PART_ flags. *used lives in a map: read anew each time it is an unknown number to the verifier, so
 * that the states before a loop do not multiply those in it.
 */
static __always_inline __u32 walk_path(unsigned char *data, __u32 *used, __u32 limit, struct path *path,
				       struct path *root)
{
	struct dentry *dentry = path->dentry;
	struct vfsmount *vfsmount = path->mnt;
	struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
	__u32 flags = 0;

	if (!dentry)
		return PART_ABSENT;
	/* An unhashed dentry that is not a root was unlinked (d_unlinked()). */
	if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry)
		flags |= PART_DELETED;

	for (int i = 0; i < PATH_COMPONENTS_MAX; i++) {
		struct dentry *parent;
		const unsigned char *name;
		__u64 length;
		__u64 at;

		if (dentry == root->dentry && vfsmount == root->mnt)
			return flags;
		parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above != mount) {
				dentry = BPF_CORE_READ(mount, mnt_mountpoint);
				mount = above;
				vfsmount = (void *)mount + bpf_core_field_offset(struct mount, mnt);
				continue;
			}
			/*
			 * The top. A file that is the root of a mount of its own, which was detached (runc runs
			 * itself so), has no path, but it has a name.
			 */
			if (i > 0 || dentry == parent)
				return flags;
			parent = dentry;
		}
		name = BPF_CORE_READ(dentry, d_name.name);
		length = BPF_CORE_READ(dentry, d_name.len);
		at = *used;
		/*
		 * From here to the call, both numbers stay in registers: before 5.12 the verifier forgets what it knew
		 * of a number that was put on the stack, and a check of the lower half of a register tells it nothing.
		 */
		barrier_var(at);
		if (at > limit - PATH_COMPONENT_BYTES_MAX)
			return flags | PART_TRUNCATED;
		/* NAME_MAX is 255, but some file systems go beyond. */
		if (length >= PATH_COMPONENT_BYTES_MAX)
			return flags | PART_TRUNCATED;
		asm volatile("%0 &= 255" : "+r"(length));
		data[at + length] = 0;
		if (bpf_probe_read_kernel(data + at, length, name))
			return flags | PART_UNREADABLE;
		*used += length + 1;
		/* A root that nothing is mounted by: a memfd, and what else never had a place in the tree. */
		if (dentry == parent)
			return flags | PART_DELETED;
		dentry = parent;
	}
	return flags | PART_TRUNCATED;
}

#endif
