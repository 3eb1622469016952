/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * One system call on its way through the programs.
 *
 * The programs on sys_exit and sys_enter are small: they throw away what is not wanted, by the call's number and by
 * the process, note the rest here, and tail-call the program of the call's class, which may tail-call further ones.
 * So each is small for the verifier, and a new class is one program and a line in `enum exit_stage`.
 */
#ifndef AGENTSIGHT_CALL_H
#define AGENTSIGHT_CALL_H

#include "call_event.h"
#include "config.h"
#include "descriptor.h"
#include "event.h"
#include "kernel.h"
#include "ring.h"
#include "tree.h"

/* The typed tracepoint reads registers without a helper's call; it came with 5.5, before the ring buffer. */
#ifdef PERF_BUFFER
#define SYS_EXIT "raw_tp/sys_exit"
#define SYS_ENTER "raw_tp/sys_enter"
#define REGISTER(regs, name) BPF_CORE_READ(regs, name)
#else
#define SYS_EXIT "tp_btf/sys_exit"
#define SYS_ENTER "tp_btf/sys_enter"
#define REGISTER(regs, name) ((regs)->name)
#endif

/* The end of a request to io_uring. The typed tracepoint would gain nothing: all that is read is behind pointers. */
#define QUEUED "raw_tp/io_uring_complete"

/* Programs that the one on sys_exit leads to; user space puts each into `exit_stages` (src/live/syscalls.rs). */
enum exit_stage {
	EXIT_NOT_WANTED,
	EXIT_TRANSFER, /* read, write, and all that move bytes over one descriptor */
	EXIT_MESSAGES, /* recvmmsg, sendmmsg */
	EXIT_COPY,     /* from one descriptor to another */
	EXIT_MAP,      /* mmap */
	EXIT_OPEN,     /* what makes one descriptor */
	EXIT_PAIR,     /* what makes two */
	EXIT_CONNECT,
	EXIT_CHANGE,  /* names and metadata of files */
	EXIT_CONTROL, /* what processes do to each other and to themselves */
	EXIT_COMPAT,  /* 32-bit calls */
	/* Stages of every transfer. */
	STAGE_MOVE,
	STAGE_CUT,
	STAGE_COUNT,
	/* After them, where the transfer was such (call->then). */
	STAGE_DATAGRAM, /* to or from port 53 */
	STAGE_PASS,	/* with descriptors */
	STAGE_RIGHTS,	/* two of the descriptors */
	/* Between the count of a transfer and the next, where payload is captured (contents.h). */
	STAGE_POLICY,  /* whether it is wanted */
	STAGE_MATCH,   /* a file's path against the policy */
	STAGE_CONTENT, /* how much, and where it is */
	STAGE_TAKE,
	EXIT_STAGES,
};

enum enter_stage {
	ENTER_NOT_WANTED,
	ENTER_TIME, /* an output: only its time is kept */
	ENTER_CLOSE,
	ENTER_CLOSE_RANGE,
	ENTER_REPLACE, /* dup2, dup3 */
	ENTER_IDS,     /* setuid and its kin: the ids before */
	ENTER_STAGES,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} exit_stages SEC(".maps");

/* Likewise of requests to io_uring, by the same numbers. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} queued_stages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} enter_stages SEC(".maps");

/* Bytes that one descriptor moved in this call. */
struct move {
	__u64 bytes;
	__u64 offset; /* in the file, where it has offsets; streams count for themselves */
	__u64 first;  /* time of the burst's first and last call, ns */
	__u64 last;
	__u64 user_address; /* of a datagram's other end, or 0 */
	__u64 address_size; /* of an output's */
	__s32 fd;
	__u32 slot; /* enum burst_slot */
	/* Filled in by the stages, for those that come after all moves. */
	__u64 open;
	__u32 burst;  /* its number, 0: none */
	__u16 failed; /* it moved nothing: an error to count where a burst is open */
	__u16 peeks;  /* what was read is still to be read */
};

#define MOVES_MAX 2
#define CUTS_MAX 128 /* a power of two: indices are masked */

struct object_key {
	__u64 inode; /* of a unix socket the address of its struct sock, as its number comes only with accept() */
	__u32 device;
	__u32 generation;
};

struct cut {
	struct burst_key key;
	__u32 why; /* enum burst_cut */
	__u32 reserved;
};

struct call {
	__u64 now;
	__u64 began; /* outputs: when it was entered; else, and where that is not known, now */
	__s64 result;
	__u64 arguments[6];
	__u32 number;
	__u32 stage; /* of this number */
	/* Who. */
	__u64 start;
	__u32 tgid;
	__u32 tid;
	__u32 exec;
	__u32 session;
	/* Its transfers. */
	struct move moves[MOVES_MAX];
	__u32 moves_count;
	__u32 at;   /* which of them is being counted */
	__u32 then; /* enum exit_stage: where to go when all are, or 0 */
	__u32 cuts_count;
	__u32 cuts_done;
	__u32 flow_before;
	__u32 flow_now;
	__u32 copies; /* the second move got what the first gave */
	__u32 turned; /* the open file was last used the other way, or paused */
	__u32 object_kind;
	__u32 turn;
	/* Of the current move. */
	__u64 file;
	__u64 offset;
	struct socket_address far; /* of a datagram: where it went to or came from; family 0: as the socket says */
	struct object_key object;
	struct burst_key key;
	/* Descriptors that are passed with it, and are still to be said. */
	__u64 user_rights;
	__u32 rights_left;
	struct cut cuts[CUTS_MAX];
	/* What FD_OF_REQUEST stands for: only requests to io_uring have it. */
	__u64 request_file;
	/* Of a request, likewise: where its bytes are is the kernel's choice. */
	__u32 buffer_unknown;
	__u32 reserved;
};

/* In place of a descriptor: the request may have been made with one that is closed by now, or never had one. */
#define FD_OF_REQUEST (-2)

/* System calls do not nest, and the tracepoint does not let another task onto this CPU meanwhile. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 3); /* of the programs on sys_exit, on sys_enter, and on io_uring_complete */
	__type(key, __u32);
	__type(value, struct call);
} call_scratch SEC(".maps");

static __always_inline struct call *current_call(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&call_scratch, &zero);
}

static __always_inline struct call *entered_call(void)
{
	__u32 one = 1;

	return bpf_map_lookup_elem(&call_scratch, &one);
}

static __always_inline struct call *queued_call(void)
{
	__u32 two = 2;

	return bpf_map_lookup_elem(&call_scratch, &two);
}

static __always_inline struct file *file_in(const struct call *call, __s32 fd)
{
	return fd == FD_OF_REQUEST ? (struct file *)call->request_file : file_of(fd);
}

/*
 * One stage on both hooks: of system calls, and of requests to io_uring. The kernel lets a tail call lead only to a
 * program that was loaded for the same hook, so each has programs and an array of its own.
 */
#define STAGE(name)                                                                                                    \
	SEC(SYS_EXIT)                                                                                                  \
	int agentsight_##name(__u64 *ctx)                                                                              \
	{                                                                                                              \
		struct call *call = current_call();                                                                    \
                                                                                                                       \
		return call ? name(ctx, call, &exit_stages) : 0;                                                       \
	}                                                                                                              \
                                                                                                                       \
	SEC(QUEUED)                                                                                                    \
	int agentsight_queued_##name(__u64 *ctx)                                                                       \
	{                                                                                                              \
		struct call *call = queued_call();                                                                     \
                                                                                                                       \
		return call ? name(ctx, call, &queued_stages) : 0;                                                     \
	}

/* On to the call's next transfer, or to what comes after all of them. */
static __always_inline void go_on(void *ctx, struct call *call, void *stages)
{
	call->at++;
	if (call->at < call->moves_count)
		bpf_tail_call(ctx, stages, STAGE_MOVE);
	else if (call->then)
		bpf_tail_call(ctx, stages, call->then);
}

/* When each thread entered its last output: an output's time is its beginning. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32); /* tid */
	__type(value, __u64);
} entered SEC(".maps");

static __always_inline void fill_header(struct event_header *header, const struct call *call, __u16 kind, __u32 size)
{
	header->size = size;
	header->kind = kind;
	header->flags = 0;
	header->at = call->now;
	header->start = call->start;
	header->tgid = call->tgid;
	header->tid = call->tid;
	header->exec = call->exec;
	header->session = call->session;
}

#endif
