// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Sees: calls that make open files, so that an address that is used again is a new open file, and what a file's
 * creation or emptying was.
 *
 * Hook: sys_exit, by tail calls from src/syscall/exit.bpf.c. An open file is announced at its first use; here only what
 * changed something at once: the creation and the emptying of a file.
 */
#include "bursts.h"
#include "descriptor.h"
#include "shapes.h"

#define O_ACCMODE 3
#define O_TRUNC 01000

/* The flags of an open; 0 where the call has none. */
static __always_inline __u64 open_flags(const struct call *call)
{
	__u64 flags = 0;

	switch (call->number) {
#ifdef __NR_open
	case __NR_open:
		return call->arguments[1];
	case __NR_creat:
		return O_TRUNC;
#endif
	case __NR_openat:
		return call->arguments[2];
	case __NR_openat2:
		/* struct open_how begins with them. */
		bpf_probe_read_user(&flags, sizeof(flags), (void *)call->arguments[2]);
		return flags;
	}
	return 0;
}

/*
 * The address is another open file's now: the one that had it is gone, by a way that made no call of ours, such as
 * close-on-exec, or its last descriptor in a process that is not traced.
 */
static __always_inline void close_former(void *ctx, const struct call *call, struct file *file)
{
	struct close_event event = {};
	__u64 key = (__u64)file;
	struct open_file *former = bpf_map_lookup_elem(&opens, &key);

	if (!former || former->session != call->session)
		return;
	fill_header(&event.header, call, EVENT_CLOSE, sizeof(event));
	event.open = former->id;
	emit_data(ctx, &event, sizeof(event), LOSS_OPEN);
}

/* The file was created, or emptied: what was in it, or in another file of its number, is another version. */
static __always_inline void begin_epoch(const struct open_file *open)
{
	struct object_key key = {.inode = open->inode, .device = open->device, .generation = open->generation};
	struct object *object = bpf_map_lookup_elem(&objects, &key);

	if (!object)
		return;
	object->turn++;
	object->version++;
	object->party = 0;
	object->party_wrote = 0;
}

static __always_inline int open(__u64 *ctx, struct call *call, void *stages)
{
	struct open_file *open, *listener;
	struct file *file, *listening;
	__u64 listener_id = 0;

	if (call->result < 0)
		return 0;
	file = file_of(call->result);
	if (!file)
		return 0;
	if (call->number == __NR_accept || call->number == __NR_accept4) {
		listening = file_in(call, call->arguments[0]);
		if (listening) {
			listener = find_open(listening);
			if (listener) {
				listener_id = listener->id;
				announce(ctx, call, listening, listener);
			}
		}
	}
	close_former(ctx, call, file);
	open = note_made(file, 0, listener_id);
	if (!open) {
		count_made(call->session, LOSS_OPEN);
		count_lost(call->session, LOSS_OPEN);
		return 0;
	}
	if (open->object == OBJECT_FILE && (open->mode & S_IFMT) == S_IFREG) {
		if (BPF_CORE_READ(file, f_mode) & FMODE_CREATED)
			open->how |= OPEN_CREATED;
		else if (open_flags(call) & O_TRUNC)
			open->how |= OPEN_TRUNCATED;
	}
	if (open->how)
		begin_epoch(open);
	if (open->how || listener_id)
		announce(ctx, call, file, open);
	if (call->number == __NR_memfd_create)
		bpf_tail_call(ctx, stages, EXIT_CONTROL);
	return 0;
}

STAGE(open)

/* Both ends at once, while each can say what the other is. */
SEC(SYS_EXIT)
int agentsight_pair(__u64 *ctx)
{
	struct call *call = current_call();
	__s32 fds[2] = {-1, -1};
	struct open_file *open;
	struct file *file;
	bool sockets;

	if (!call || call->result < 0)
		return 0;
	sockets = call->number == __NR_socketpair;
	if (bpf_probe_read_user(fds, sizeof(fds), (void *)(sockets ? call->arguments[3] : call->arguments[0])))
		return 0;
	for (int i = 0; i < 2; i++) {
		file = file_of(fds[i]);
		if (!file)
			continue;
		close_former(ctx, call, file);
		open = note_made(file, 0, 0);
		if (!open) {
			count_made(call->session, LOSS_OPEN);
			count_lost(call->session, LOSS_OPEN);
		} else if (sockets) {
			announce(ctx, call, file, open);
		}
	}
	return 0;
}
