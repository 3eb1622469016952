// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: calls that move bytes, and says over which descriptors, which way and how many.
 *
 * Hook: sys_exit, by tail calls from src/syscall/exit.bpf.c. Nothing is taken from the caller's memory but offsets that
 * the kernel has just written there, and the lengths of several messages.
 */
#include "call.h"
#include "descriptor.h"
#include "shapes.h"
#include "user_message.h"

#define EINTR 4
#define EAGAIN 11
#define ERESTART_FIRST 512 /* ERESTARTSYS; the call will be made again */
#define ERESTART_LAST 516

#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

#define FROM_FILE (~0ULL) /* the offset is the open file's own */

/* Whether a call failed in a way that a person would call an error. */
static __always_inline bool is_error(__s64 result)
{
	__s64 number = -result;

	return result < 0 && number != EINTR && number != EAGAIN &&
	       !(number >= ERESTART_FIRST && number <= ERESTART_LAST);
}

static __always_inline struct move *add_move(struct call *call, __s32 fd, __u32 slot, __u64 bytes, __u64 offset)
{
	struct move *move = &call->moves[call->moves_count & (MOVES_MAX - 1)];

	call->moves_count++;
	move->fd = fd;
	move->slot = slot;
	move->bytes = bytes;
	move->offset = offset;
	move->first = slot & 1 ? call->began : call->now;
	move->last = move->first;
	move->user_address = 0;
	move->address_size = 0;
	move->open = 0;
	move->burst = 0;
	move->failed = 0;
	move->peeks = 0;
	return move;
}

/* struct msghdr begins with the address and its size. */
static __always_inline void read_message_address(struct move *move, __u64 user_message)
{
	__u32 size = 0;

	bpf_probe_read_user(&move->user_address, sizeof(move->user_address), (void *)user_message);
	bpf_probe_read_user(&size, sizeof(size), (void *)(user_message + sizeof(move->user_address)));
	move->address_size = size;
}

static __always_inline int transfer(__u64 *ctx, struct call *call, void *stages)
{
	const struct shape *shape;
	struct move *move;
	__u64 offset = FROM_FILE;
	__u64 bytes;
	__u64 flags = 0;

	shape = &shapes[call->number & (NUMBERS_MAX - 1)];
	/* 0 is the end of a file. */
	if (!call->result || (call->result < 0 && !is_error(call->result)))
		return 0;
	if (shape->flags_at == 2)
		flags = call->arguments[2];
	else if (shape->flags_at == 3)
		flags = call->arguments[3];
	if (flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	bytes = call->result;
	/* What did not fit is gone, and was not taken in. */
	if (flags & MSG_TRUNC && shape->flags_at == 3 && bytes > call->arguments[2])
		bytes = call->arguments[2];
	if (shape->offset == OFFSET_ARGUMENT ||
	    (shape->offset == OFFSET_ARGUMENT_OR_FILE && call->arguments[3] != ~0ULL))
		offset = call->arguments[3];
	move = add_move(call, call->arguments[0], shape->slot, bytes, offset);
	if (call->result < 0) {
		move->bytes = 0;
		move->failed = 1;
	}
	if (shape->address_at) {
		move->user_address = call->arguments[4];
		move->address_size = call->arguments[5];
	} else if (call->number == __NR_sendmsg || call->number == __NR_recvmsg) {
		read_message_address(move, call->arguments[1]);
	}
	bpf_tail_call(ctx, stages, STAGE_MOVE);
	return 0;
}

STAGE(transfer)

#define MESSAGE_BYTES 64 /* struct mmsghdr, 64-bit: a msghdr of 56 bytes, its length, padding */
#define MESSAGE_LENGTH_AT 56

SEC(SYS_EXIT)
int agentsight_messages(__u64 *ctx)
{
	struct call *call = current_call();
	const struct shape *shape;
	struct move *move;
	__u64 bytes = 0;

	if (!call || !call->result || (call->result < 0 && !is_error(call->result)))
		return 0;
	shape = &shapes[call->number & (NUMBERS_MAX - 1)];
	if (shape->flags_at == 3 && call->arguments[3] & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	for (int i = 0; i < MESSAGES_MAX; i++) {
		__u32 length = 0;

		if (i >= call->result)
			break;
		bpf_probe_read_user(&length, sizeof(length),
				    (void *)(call->arguments[1] + i * MESSAGE_BYTES + MESSAGE_LENGTH_AT));
		bytes += length;
	}
	move = add_move(call, call->arguments[0], shape->slot, bytes, FROM_FILE);
	move->failed = call->result < 0;
	/* All messages of one call are taken to go to, or come from, where the first does. */
	read_message_address(move, call->arguments[1]);
	bpf_tail_call(ctx, &exit_stages, STAGE_MOVE);
	return 0;
}

/* The offset that the kernel left behind a pointer, before this call; without one it is the open file's own. */
static __always_inline __u64 offset_before(__u64 user_offset, __u64 bytes)
{
	__u64 after = 0;

	if (!user_offset || bpf_probe_read_user(&after, sizeof(after), (void *)user_offset))
		return FROM_FILE;
	return after - bytes;
}

#define FICLONE 0x40049409
#define FICLONERANGE 0x4020940d

struct clone_range {
	__s64 fd;
	__u64 from;
	__u64 length; /* 0: to the end */
	__u64 to;
};

static __always_inline __u64 size_of(__s32 fd)
{
	struct file *file = file_of(fd);

	return BPF_CORE_READ(file, f_inode, i_size);
}

/* The kernel moved it all, at any moment between the call's beginning and end: so long are both transfers. */
static __always_inline void add_copy(struct call *call, __s32 from, __u64 from_offset, __s32 to, __u64 to_offset,
				     __u64 bytes)
{
	struct move *out;

	add_move(call, from, BURST_IN, bytes, from_offset);
	out = add_move(call, to, BURST_OUT, bytes, to_offset);
	out->last = call->now;
	call->copies = 1;
}

SEC(SYS_EXIT)
int agentsight_copy(__u64 *ctx)
{
	struct call *call = current_call();
	struct clone_range range = {};
	__u64 *argument;
	__u64 bytes;

	if (!call || call->result < 0)
		return 0;
	argument = call->arguments;
	bytes = call->result;
	switch (call->number) {
	case __NR_copy_file_range:
	case __NR_splice:
		add_copy(call, argument[0], offset_before(argument[1], bytes), argument[2],
			 offset_before(argument[3], bytes), bytes);
		break;
	case __NR_sendfile:
		add_copy(call, argument[1], offset_before(argument[2], bytes), argument[0], FROM_FILE, bytes);
		break;
	case __NR_tee:
		add_copy(call, argument[0], FROM_FILE, argument[1], FROM_FILE, bytes);
		call->moves[0].peeks = 1;
		break;
	case __NR_ioctl:
		if (argument[1] == FICLONE) {
			bytes = size_of(argument[2]);
			add_copy(call, argument[2], 0, argument[0], 0, bytes);
		} else if (argument[1] == FICLONERANGE) {
			if (bpf_probe_read_user(&range, sizeof(range), (void *)argument[2]))
				return 0;
			bytes = range.length ? range.length : size_of(range.fd) - range.from;
			add_copy(call, range.fd, range.from, argument[0], range.to, bytes);
		}
		break;
	}
	if (!bytes || !call->moves_count)
		return 0;
	bpf_tail_call(ctx, &exit_stages, STAGE_MOVE);
	return 0;
}

#define MAP_TYPE 0xf
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 0x20
#define PROT_READ 1
#define PROT_WRITE 2

#define RING_NAME 0x6e6972755f6f695bULL /* "[io_urin", of "[io_uring]" */

/* What a ring of io_uring shares is shared with the kernel alone. */
static __always_inline bool is_request_ring(__s32 fd)
{
	struct file *file = file_of(fd);
	const unsigned char *name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	__u64 text = 0;

	bpf_probe_read_kernel(&text, sizeof(text), name);
	return text == RING_NAME;
}

/* What goes through a mapping makes no calls: the mapping says what may go. */
SEC(SYS_EXIT)
int agentsight_map(__u64 *ctx)
{
	struct call *call = current_call();
	__u64 protection, flags, offset, bytes, size;
	__s32 fd;

	if (!call || (call->result < 0 && call->result > -4096))
		return 0;
	protection = call->arguments[2];
	flags = call->arguments[3];
	fd = call->arguments[4];
	offset = call->arguments[5];
	if (flags & MAP_ANONYMOUS) {
		/* Its children will share it. */
		if (protection & PROT_WRITE && (flags & MAP_TYPE) != MAP_PRIVATE)
			bpf_tail_call(ctx, &exit_stages, EXIT_CONTROL);
		return 0;
	}
	/* Looking costs five reads, and nobody maps a ring for himself alone: libraries are mapped so. */
	if ((flags & MAP_TYPE) != MAP_PRIVATE && is_request_ring(fd))
		return 0;
	bytes = call->arguments[1];
	size = size_of(fd);
	/* Beyond the file's end nothing is mapped; what has no size, a device, has all. */
	if (size && offset >= size)
		return 0;
	if (size && bytes > size - offset)
		bytes = size - offset;
	if (protection & PROT_READ)
		add_move(call, fd, BURST_MAPPED_IN, bytes, offset);
	if (protection & PROT_WRITE && (flags & MAP_TYPE) != MAP_PRIVATE) {
		add_move(call, fd, BURST_MAPPED_OUT, bytes, offset);
		call->then = EXIT_CONTROL;
	}
	if (!call->moves_count)
		return 0;
	bpf_tail_call(ctx, &exit_stages, STAGE_MOVE);
	return 0;
}
