// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: calls that change a file's name or metadata, or tried to.
 *
 * Hook: sys_exit, by a tail call from src/syscall/exit.bpf.c. The paths are the caller's strings, read when the call is
 * over, with the directory that they are relative to as the kernel walks it: after an unlink nothing else is left.
 */
#include "bursts.h"
#include "call_event.h"
#include "descriptor.h"
#include "path.h"
#include "shapes.h"

#define AT_FDCWD (-100)
#define AT_REMOVEDIR 0x200
#define KEEP_SIZE 1 /* FALLOC_FL_KEEP_SIZE: with it alone no byte changes */

#define CHANGE_PATH_BYTES_MAX 4096
/* Two paths, and what each is relative to. */
#define CHANGE_DATA_BYTES_MAX (4 * (CHANGE_PATH_BYTES_MAX + PATH_COMPONENT_BYTES_MAX))

struct change_record {
	struct change_event event;
	unsigned char data[CHANGE_DATA_BYTES_MAX];
};

struct change_scratch {
	struct change_record record;
	__u32 used;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct change_scratch);
} change_scratch SEC(".maps");

/* Where a call has what: argument numbers from 1, 0 where it has none. */
struct change_shape {
	__u8 kind;   /* enum change_kind */
	__u8 at;     /* directory of the path; 0: the working directory */
	__u8 path;   /* 0: the call names the file by `fd` */
	__u8 new_at; /* likewise of the second path */
	__u8 new_path;
	__u8 value;
	__u8 fd;
};

const struct change_shape change_shapes[NUMBERS_MAX] = {
	[__NR_renameat2] = {CHANGE_RENAME, .at = 1, .path = 2, .new_at = 3, .new_path = 4},
	[__NR_unlinkat] = {CHANGE_UNLINK, .at = 1, .path = 2},
	[__NR_linkat] = {CHANGE_LINK, .at = 1, .path = 2, .new_at = 3, .new_path = 4},
	[__NR_symlinkat] = {CHANGE_SYMLINK, .at = 2, .path = 3, .new_path = 1},
	[__NR_mkdirat] = {CHANGE_MKDIR, .at = 1, .path = 2, .value = 3},
	[__NR_mknodat] = {CHANGE_MKNOD, .at = 1, .path = 2, .value = 3},
	[__NR_truncate] = {CHANGE_TRUNCATE, .path = 1, .value = 2},
	[__NR_ftruncate] = {CHANGE_TRUNCATE, .fd = 1, .value = 2},
	[__NR_fallocate] = {CHANGE_FALLOCATE, .fd = 1, .value = 4},
	[__NR_fchmod] = {CHANGE_CHMOD, .fd = 1, .value = 2},
	[__NR_fchmodat] = {CHANGE_CHMOD, .at = 1, .path = 2, .value = 3},
	[452] = {CHANGE_CHMOD, .at = 1, .path = 2, .value = 3}, /* fchmodat2, since 6.6 */
	[__NR_fchown] = {CHANGE_CHOWN, .fd = 1, .value = 2},
	[__NR_fchownat] = {CHANGE_CHOWN, .at = 1, .path = 2, .value = 3},
	[__NR_setxattr] = {CHANGE_SETXATTR, .path = 1},
	[__NR_lsetxattr] = {CHANGE_SETXATTR, .path = 1},
	[__NR_fsetxattr] = {CHANGE_SETXATTR, .fd = 1},
	[463] = {CHANGE_SETXATTR, .at = 1, .path = 2}, /* setxattrat, since 6.13 */
#ifdef __NR_renameat
	[__NR_renameat] = {CHANGE_RENAME, .at = 1, .path = 2, .new_at = 3, .new_path = 4},
#endif
#ifdef __NR_rename
	[__NR_rename] = {CHANGE_RENAME, .path = 1, .new_path = 2},
	[__NR_unlink] = {CHANGE_UNLINK, .path = 1},
	[__NR_rmdir] = {CHANGE_RMDIR, .path = 1},
	[__NR_link] = {CHANGE_LINK, .path = 1, .new_path = 2},
	[__NR_symlink] = {CHANGE_SYMLINK, .path = 2, .new_path = 1},
	[__NR_mkdir] = {CHANGE_MKDIR, .path = 1, .value = 2},
	[__NR_mknod] = {CHANGE_MKNOD, .path = 1, .value = 2},
	[__NR_chmod] = {CHANGE_CHMOD, .path = 1, .value = 2},
	[__NR_chown] = {CHANGE_CHOWN, .path = 1, .value = 2},
	[__NR_lchown] = {CHANGE_CHOWN, .path = 1, .value = 2},
#endif
};

static __always_inline __u64 argument(const struct call *call, __u32 number)
{
	return number - 1 < 6 ? call->arguments[number - 1] : 0;
}

/* The string, and before it what it is relative to. */
static __always_inline void capture(struct change_scratch *scratch, __u32 part, __u64 user_path, __s32 at)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct exec_part_head *base = &scratch->record.event.parts[part];
	struct exec_part_head *text = base + 1;
	unsigned char *data = scratch->record.data;
	struct path path, root;
	__u32 before = scratch->used;
	struct file *file;
	char first = 0;
	__u32 place;
	long length;

	if (bpf_probe_read_user(&first, sizeof(first), (void *)user_path)) {
		base->flags = PART_ABSENT;
		text->flags = PART_UNREADABLE;
		return;
	}
	if (first == '/') {
		base->flags = PART_ABSENT;
	} else {
		if (at == AT_FDCWD) {
			path.dentry = BPF_CORE_READ(task, fs, pwd.dentry);
			path.mnt = BPF_CORE_READ(task, fs, pwd.mnt);
		} else {
			file = file_of(at);
			path.dentry = BPF_CORE_READ(file, f_path.dentry);
			path.mnt = BPF_CORE_READ(file, f_path.mnt);
		}
		root.dentry = BPF_CORE_READ(task, fs, root.dentry);
		root.mnt = BPF_CORE_READ(task, fs, root.mnt);
		base->flags =
			walk_path(data, &scratch->used, CHANGE_DATA_BYTES_MAX - CHANGE_PATH_BYTES_MAX, &path, &root);
		base->length = scratch->used - before;
	}
	place = scratch->used;
	if (place > CHANGE_DATA_BYTES_MAX - CHANGE_PATH_BYTES_MAX) {
		text->flags = PART_TRUNCATED;
		return;
	}
	length = bpf_probe_read_user_str(data + place, CHANGE_PATH_BYTES_MAX, (void *)user_path);
	if (length < 0) {
		text->flags = PART_UNREADABLE;
		return;
	}
	if (length == CHANGE_PATH_BYTES_MAX)
		text->flags = PART_TRUNCATED;
	text->length = length;
	scratch->used = place + length;
}

/* The file itself, where the call named it by a descriptor; its path as the kernel walks it. */
static __always_inline void capture_file(struct change_scratch *scratch, struct file *file)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct change_event *event = &scratch->record.event;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct path path, root;

	event->header.flags |= CHANGE_HAS_FILE;
	event->inode = BPF_CORE_READ(inode, i_ino);
	event->device = BPF_CORE_READ(inode, i_sb, s_dev);
	event->generation = BPF_CORE_READ(inode, i_generation);
	path.dentry = BPF_CORE_READ(file, f_path.dentry);
	path.mnt = BPF_CORE_READ(file, f_path.mnt);
	root.dentry = BPF_CORE_READ(task, fs, root.dentry);
	root.mnt = BPF_CORE_READ(task, fs, root.mnt);
	event->parts[CHANGE_PART_BASE].flags =
		walk_path(scratch->record.data, &scratch->used, CHANGE_DATA_BYTES_MAX, &path, &root);
	event->parts[CHANGE_PART_BASE].length = scratch->used;
}

static __always_inline __u64 value_of(const struct call *call, const struct change_shape *shape)
{
	__u64 value;

	if (!shape->value)
		return 0;
	value = argument(call, shape->value);
	if (shape->kind == CHANGE_CHOWN)
		return value << 32 | (__u32)argument(call, shape->value + 1);
	if (shape->kind == CHANGE_FALLOCATE)
		return value + call->arguments[2];
	return shape->kind == CHANGE_TRUNCATE ? value : (__u32)value;
}

SEC(SYS_EXIT)
int agentsight_change(__u64 *ctx)
{
	struct call *call = current_call();
	const struct change_shape *shape;
	struct change_scratch *scratch;
	struct change_event *event;
	__s64 error;
	struct open_file *open;
	struct file *file;
	__u32 zero = 0;
	__u64 size;

	if (!call)
		return 0;
	error = -call->result;
	/* It will be made again, or was not made. */
	if (call->result < 0 && (error == 4 || (error >= 512 && error <= 516)))
		return 0;
	shape = &change_shapes[call->number & (NUMBERS_MAX - 1)];
	scratch = bpf_map_lookup_elem(&change_scratch, &zero);
	if (!scratch) {
		count_made(call->session, LOSS_CHANGE);
		count_lost(call->session, LOSS_CHANGE);
		return 0;
	}
	event = &scratch->record.event;
	__builtin_memset(event, 0, sizeof(*event));
	scratch->used = 0;
	fill_header(&event->header, call, EVENT_CHANGE, 0);
	event->change = shape->kind;
	if (shape->kind == CHANGE_UNLINK && shape->at && call->arguments[2] & AT_REMOVEDIR)
		event->change = CHANGE_RMDIR;
	event->error = call->result < 0 ? error : 0;
	event->value = value_of(call, shape);
	if (shape->kind == CHANGE_FALLOCATE) {
		event->mode = call->arguments[1];
		event->offset = call->arguments[2];
	}
	event->parts[CHANGE_PART_NEW_BASE].flags = PART_ABSENT;
	event->parts[CHANGE_PART_NEW_PATH].flags = PART_ABSENT;
	if (shape->path) {
		capture(scratch, CHANGE_PART_BASE, argument(call, shape->path),
			shape->at ? (__s32)argument(call, shape->at) : AT_FDCWD);
	} else {
		file = file_of(call->arguments[0]);
		if (!file)
			return 0;
		capture_file(scratch, file);
		open = find_open(file);
		if ((shape->kind == CHANGE_TRUNCATE || event->mode & ~KEEP_SIZE) && open && !event->error)
			begin_epoch(open);
		event->parts[CHANGE_PART_PATH].flags = PART_ABSENT;
	}
	if (shape->new_path)
		capture(scratch, CHANGE_PART_NEW_BASE, argument(call, shape->new_path),
			shape->new_at ? (__s32)argument(call, shape->new_at) : AT_FDCWD);
	size = scratch->used;
	if (size > CHANGE_DATA_BYTES_MAX)
		size = CHANGE_DATA_BYTES_MAX;
	size += sizeof(*event);
	event->header.size = size;
	emit_data(ctx, &scratch->record, size, LOSS_CHANGE);
	return 0;
}
