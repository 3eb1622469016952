/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The end of an open file: when the last descriptor of it goes. */
#ifndef AGENTSIGHT_CLOSES_H
#define AGENTSIGHT_CLOSES_H

#include "bursts.h"
#include "connecting.h"
#include "descriptor.h"

/* Ends what the current image has under way over an open file, and says that it is gone. */
static __always_inline void end_open(void *ctx, const struct call *call, struct file *file, __u32 why)
{
	struct burst_key key = {.tgid = call->tgid};
	struct close_event event = {};
	struct open_file *open;
	__u64 at = (__u64)file;
	__u32 session;

	open = bpf_map_lookup_elem(&opens, &at);
	if (!open)
		return;
	if (open->object == OBJECT_INET)
		settle(ctx, file);
	key.open = open->id;
	session = open->session;
	if (session) {
		for (__u32 slot = BURST_IN; slot <= BURST_MAPPED_IN; slot++) {
			key.image = call->exec << 2 | slot;
			cut_burst(ctx, ENDER_CALL_ENTER, &key, call->now, why);
		}
	}
	if (bpf_map_delete_elem(&opens, &at) || session != call->session)
		return;
	fill_header(&event.header, call, EVENT_CLOSE, sizeof(event));
	event.open = key.open;
	emit_data(ctx, &event, sizeof(event), LOSS_OPEN);
}

/* Likewise, where its last descriptor is about to go. */
static __always_inline void close_last(void *ctx, const struct call *call, __s32 fd, __u32 why)
{
	struct file *file = file_of(fd);

	if (file && references_to(file) <= 1)
		end_open(ctx, call, file, why);
}

#endif
