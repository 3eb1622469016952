// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Decides whether what goes over an open file is wanted: once for each announcement of it, at its first transfer.
 *
 * Hook: sys_exit and io_uring_complete, by tail calls from src/burst/move.bpf.c and burst.bpf.c.
 */
#include "address.h"
#include "contents.h"

/* So many bytes of a path a program matches, and then tail-calls itself: the verifier walks every turn. */
#define MATCHED_PER_CALL 512

/* As much of a path as an announcement has. */
#define PATH_BYTES_MAX OPEN_DATA_BYTES_MAX
#define PATH_MASK (CHUNK_BYTES_MAX - 1)

static __always_inline bool is_wanted_at(struct capture_network *key)
{
	if (bpf_map_lookup_elem(&capture_networks, key))
		return true;
	key->port = 0;
	return bpf_map_lookup_elem(&capture_networks, key);
}

/* Whether either end is of a wanted network: a server's own is known by its own address. */
static __always_inline bool is_wanted_socket(const struct call *call, struct file *file)
{
	struct capture_network key = {.slot = call->session & (SESSION_SLOTS - 1)};
	struct sock *sock = sock_of(file);
	__u16 family = BPF_CORE_READ(sock, __sk_common.skc_family);
	struct socket_address far = {};
	__u16 port = BPF_CORE_READ(sock, __sk_common.skc_num);
	__u16 mapped = 0xffff;

	key.prefix = 8 * (sizeof(key) - sizeof(key.prefix));
	if (call->far.family)
		far = call->far;
	else
		read_peer(&far, sock);
	if (far.family == AF_INET) {
		__builtin_memcpy(key.ip + 10, &mapped, sizeof(mapped));
		__builtin_memcpy(key.ip + 12, far.ip, 4);
	} else {
		__builtin_memcpy(key.ip, far.ip, sizeof(key.ip));
	}
	key.port = far.port;
	/* Without a port it has no other end, and an address of zeros is none. */
	if (far.port && is_wanted_at(&key))
		return true;
	__builtin_memset(key.ip, 0, sizeof(key.ip));
	if (family == AF_INET) {
		__builtin_memcpy(key.ip + 10, &mapped, sizeof(mapped));
		BPF_CORE_READ_INTO((__u32 *)(key.ip + 12), sock, __sk_common.skc_rcv_saddr);
	} else {
		BPF_CORE_READ_INTO((struct in6_addr *)key.ip, sock, __sk_common.skc_v6_rcv_saddr);
	}
	key.port = port;
	return port && is_wanted_at(&key);
}

static __always_inline void begin_path(struct content_scratch *scratch, struct file *file, __u32 start)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct path path, root;

	path.dentry = BPF_CORE_READ(file, f_path.dentry);
	path.mnt = BPF_CORE_READ(file, f_path.mnt);
	root.dentry = BPF_CORE_READ(task, fs, root.dentry);
	root.mnt = BPF_CORE_READ(task, fs, root.mnt);
	scratch->used = 0;
	scratch->at = 0;
	scratch->state = start;
	scratch->flags = walk_path(scratch->record.bytes, &scratch->used, PATH_BYTES_MAX, &path, &root);
}

static __always_inline int policy(__u64 *ctx, struct call *call, void *stages)
{
	struct content_scratch *scratch = content_scratch_of(stages);
	struct capture_policy *policy = policy_of(call->session);
	struct open_file *open = bpf_map_lookup_elem(&opens, &call->file);
	struct file *file = (struct file *)call->file;
	bool wanted = false;

	if (!scratch || !policy || !open) {
		lose_content(call);
		goto next;
	}
	switch (open->object) {
	case OBJECT_FILE:
		if (policy->start == STATE_NOTHING)
			break;
		begin_path(scratch, file, policy->start);
		bpf_tail_call(ctx, stages, STAGE_MATCH);
		break;
	case OBJECT_PIPE:
		wanted = policy->kinds & CAPTURE_PIPES;
		break;
	case OBJECT_TTY:
		wanted = policy->kinds & CAPTURE_TTYS;
		break;
	case OBJECT_UNIX:
		wanted = policy->kinds & CAPTURE_UNIX;
		break;
	case OBJECT_INET:
		wanted = policy->kinds & CAPTURE_NETWORKS && is_wanted_socket(call, file);
		/* It is asked again, until the address is known to be a host's that is wanted. */
		if (!wanted && policy->kinds & CAPTURE_NAMES)
			goto next;
		break;
	}
	open->capture = wanted ? CAPTURE_WANTED : CAPTURE_NOT;
	if (wanted)
		bpf_tail_call(ctx, stages, STAGE_CONTENT);
next:
	go_on(ctx, call, stages);
	return 0;
}

STAGE(policy)

/* Where the path ended; of one that is not known to its end only what holds for every end. */
static __always_inline bool is_accepted(const struct content_scratch *scratch, const struct capture_state *state)
{
	return state && state->accepts && !(scratch->flags & (PART_TRUNCATED | PART_UNREADABLE | PART_ABSENT));
}

static __always_inline int match(__u64 *ctx, struct call *call, void *stages)
{
	struct content_scratch *scratch = content_scratch_of(stages);
	struct open_file *open = bpf_map_lookup_elem(&opens, &call->file);
	struct capture_state *state;

	if (!scratch || !open) {
		lose_content(call);
		goto next;
	}
	for (int i = 0; i < MATCHED_PER_CALL; i++) {
		__u64 at = scratch->at;

		if (scratch->state <= STATE_ALL)
			break;
		state = bpf_map_lookup_elem(&capture_states, &scratch->state);
		if (!state || at >= scratch->used) {
			scratch->state = is_accepted(scratch, state) ? STATE_ALL : STATE_NOTHING;
			break;
		}
		asm volatile("%0 &= %1" : "+r"(at) : "i"(PATH_MASK));
		scratch->state = state->next[scratch->record.bytes[at]];
		scratch->at = at + 1;
	}
	if (scratch->state > STATE_ALL) {
		bpf_tail_call(ctx, stages, STAGE_MATCH);
		/* A path that is longer than there are tail calls left. */
		scratch->state = STATE_NOTHING;
	}
	open->capture = scratch->state == STATE_ALL ? CAPTURE_WANTED : CAPTURE_NOT;
	if (open->capture == CAPTURE_WANTED)
		bpf_tail_call(ctx, stages, STAGE_CONTENT);
next:
	go_on(ctx, call, stages);
	return 0;
}

STAGE(match)
