/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The wire between the programs and user space: every record begins with
 * struct event_header. src/wire.rs decodes it; a test holds the two against
 * each other through this file's BTF. Numbers are never used again.
 */
#ifndef AGENTSIGHT_EVENT_H
#define AGENTSIGHT_EVENT_H

#include <linux/types.h>

enum event_kind {
	EVENT_FORK = 1,
	EVENT_EXEC = 2,
	EVENT_EXIT = 3,
	EVENT_SNAPSHOT = 4,
	EVENT_OPEN = 5,
	EVENT_CLOSE = 6,
	EVENT_BURST_BEGIN = 7,
	EVENT_BURST_END = 8,
	EVENT_COPIED = 9,
	EVENT_CONNECT = 10,
	EVENT_DATAGRAM = 11, /* to or from port 53, parsed in user space */
	EVENT_CHANGE = 12,
	EVENT_KILL = 13,
	EVENT_WAIT = 14,
	EVENT_PASS = 15,
	EVENT_CALL = 16,
};

struct event_header {
	__u32 size;  /* of the whole record, bytes */
	__u16 kind;  /* enum event_kind */
	__u16 flags; /* per kind */
	__u64 at;    /* kernel clock, ns */
	__u64 start; /* start_boottime of the process, ns */
	__u32 tgid;
	__u32 tid;  /* the thread that did it */
	__u32 exec; /* execs since the fork */
	__u32 session;
};

#define FORK_ROOT 1 /* the parent is a launcher, not traced itself */

struct fork_event {
	struct event_header header; /* of the child; tid is the forking thread */
	__u64 parent_start;
	__u32 parent_tgid;
	__u32 parent_exec;
	__u32 vpid;
	__u32 reserved;
};

struct exit_event {
	struct event_header header;
	__u32 status; /* as waitpid gives it */
	__u32 reserved;
};

struct snapshot_event {
	struct event_header header; /* tid is 0; exec is 0: what ran before is not counted */
	__u64 parent_start;
	__u64 cgroup_id;
	__u32 parent_tgid;
	__u32 vpid;
	__u32 uid;
	__u32 gid;
	__u32 euid;
	__u32 egid;
};

/* The variable parts of an exec event, in the order in which they follow it. */
enum exec_part {
	EXEC_PART_ARGS,
	EXEC_PART_REQUESTED,
	EXEC_PART_EXECUTABLE,	     /* components, leaf first, each ended by NUL */
	EXEC_PART_WORKING_DIRECTORY, /* likewise */
	EXEC_PART_CGROUP,	     /* likewise, below the root of its hierarchy */
	EXEC_PART_TRACEPARENT,
	EXEC_PART_TRACESTATE,
	EXEC_PART_BAGGAGE,
	EXEC_PART_SERVICE_NAME,
	EXEC_PART_RESOURCE_ATTRIBUTES,
	EXEC_PARTS,
};

#define PART_ABSENT 1 /* there was nothing to read */
#define PART_TRUNCATED 2
#define PART_UNREADABLE 4
#define PART_DELETED 8 /* a path: the file has no name any more */

struct exec_part_head {
	__u32 length; /* bytes that follow for this part */
	__u32 flags;
	__u64 total; /* full length where known, else 0 */
};

#define EXEC_ENVIRONMENT_INCOMPLETE 1

struct exec_event {
	struct event_header header; /* tid is the thread that called exec */
	__u64 parent_start;
	__u64 cgroup_id;
	__u32 parent_tgid;
	__u32 vpid;
	__u32 uid;
	__u32 gid;
	__u32 euid;
	__u32 egid;
	struct exec_part_head parts[EXEC_PARTS];
};

/* Why something was not delivered; the order is that of LossKind in src/loss.rs. */
enum loss_kind {
	LOSS_FORK,
	LOSS_EXEC,
	LOSS_EXIT,
	LOSS_PROCESS,
	LOSS_SNAPSHOT,
	LOSS_KINDS,
};

/*
 * What is made and lost is counted for each session by itself: a session's number, cut to its slot. Slot 0 is for
 * what belongs to no session.
 */
#define SESSION_SLOTS 1024

struct event_counts {
	__u64 made; /* what the programs wanted to say, by loss_kind */
	__u64 lost; /* what the ring or the map had no room for */
};

#endif
