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
	EVENT_CHUNK = 17, /* payload, through a ring of its own */
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
	__u32 flow_before; /* the parent's sources at its last fork, and now: equal where it took in nothing since */
	__u32 flow_now;
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
	__u32 flow_before; /* as in fork_event, of the image that ended */
	__u32 flow_now;
	struct exec_part_head parts[EXEC_PARTS];
};

enum object_kind {
	OBJECT_NONE, /* nothing that data goes through from one process to another */
	OBJECT_FILE,
	OBJECT_PIPE,
	OBJECT_TTY,
	OBJECT_UNIX,
	OBJECT_INET,
};

#define OPEN_FOUND 1	 /* was open before it was seen */
#define OPEN_CREATED 2	 /* the call created the file */
#define OPEN_TRUNCATED 4 /* the call emptied the file */

struct open_address {
	__u16 family; /* 0: none */
	__u16 port;   /* host order */
	__u8 bytes[16];
};

struct open_event {
	struct event_header header; /* flags: OPEN_ */
	__u64 open;
	__u64 listener; /* open file that accept() was called on, or 0 */
	__u64 inode;
	__u64 peer; /* unix: inode of the socket at the other end, or 0 */
	__u32 device;
	__u32 generation;
	__u32 object; /* enum object_kind */
	__u16 mode;   /* i_mode */
	__u16 socket; /* unix: SOCK_ type; inet: protocol */
	__u32 netns;
	struct open_address local;
	struct open_address remote;
	__u32 reserved;
	struct exec_part_head path; /* components, leaf first; of a unix socket its address as it is */
};

struct close_event {
	struct event_header header;
	__u64 open;
};

enum burst_slot {
	BURST_IN,
	BURST_OUT,
	BURST_MAPPED_IN,
	BURST_MAPPED_OUT,
};

#define BURST_SOURCE 1 /* `now` is its number among its image's sources */
#define BURST_FLOW 2   /* `before` and `now` are the image's sources at this output's last burst, and now */

struct burst_begin_event {
	struct event_header header; /* flags: BURST_SOURCE, BURST_FLOW */
	__u64 open;
	__u32 number;
	__u32 slot; /* enum burst_slot */
	__u64 first;
	__u64 offset;
	__u32 before;
	__u32 now;
};

/* In the order of Cut in src/burst/mod.rs. */
enum burst_cut {
	CUT_DIRECTION,
	CUT_IDLE,
	CUT_AGE,
	CUT_OTHER_PARTY,
	CUT_FLOW,
	CUT_CLOSE,
	CUT_EXIT,
	CUT_SESSION,
};

#define BURST_SPARSE 1
#define BURST_THREADS 2
#define BURST_COALESCED 4
#define BURST_OVERDRAWN 8 /* a budget was spent, and that was said: no more of its payload is taken */

struct burst_sums {
	__u64 open;
	__u32 number;
	__u32 flags; /* BURST_ */
	__u64 first;
	__u64 last;
	__u64 bytes;
	__u64 operations;
	__u64 wait; /* ns */
	__u64 offset;
	__u64 end;
	__u32 errors;
	__u32 captured;	   /* bytes of payload that were taken */
	__u64 copied_open; /* the burst that was copied from, 0: none */
	__u64 copied_bytes;
	__u32 copied_number;
	__u32 tid; /* of the first call */
};

/* An entry of the map of bursts, which user space reads: it takes out what an image leaves when it ends. */
struct burst_key {
	__u64 open;
	__u32 tgid;
	__u32 image; /* exec << 2 | slot */
};

struct burst {
	struct burst_sums sums;
	__u64 start;	  /* of the process */
	__u64 noted;	  /* when its last call ended */
	__u64 may_end_at; /* before that it goes on over what would cut it */
	__u32 session;
	__u32 tid;	/* of its last call */
	__u32 turn;	/* of its file, when it was last used */
	__u32 followed; /* outputs: the image's sources when it began */
};

struct burst_end_event {
	struct event_header header; /* of whose burst it is */
	__u32 slot;
	__u32 cut; /* enum burst_cut */
	struct burst_sums sums;
};

struct copied_event {
	struct event_header header;
	__u64 from_open;
	__u64 to_open;
	__u32 from_number;
	__u32 to_number;
	__u64 bytes;
};

#define CHUNK_OUT 1 /* the bytes went out */

/* Why payload is missing; the order is that of Missing in src/content/mod.rs. */
enum chunk_missing {
	MISSING_NOTHING,
	MISSING_BUDGET,
	MISSING_RING_FULL,
	MISSING_UNREADABLE,
};

/* Up to CHUNK_BYTES_MAX bytes follow it. */
struct chunk_event {
	struct event_header header; /* flags: CHUNK_OUT; at: when the call ended */
	__u64 open;
	__u64 call_start; /* of what the whole call moved, as places in the stream or file */
	__u64 call_end;
	__u64 offset;  /* place of the first byte that follows */
	__u32 burst;   /* its number */
	__u32 number;  /* of this chunk, over this open file and this way, from 1 */
	__u32 missing; /* enum chunk_missing: of what comes behind these bytes */
	__u32 captured;
};

/* Why something was not delivered; the order is that of LossKind in src/loss.rs. */
enum loss_kind {
	LOSS_FORK,
	LOSS_EXEC,
	LOSS_EXIT,
	LOSS_PROCESS,
	LOSS_SNAPSHOT,
	LOSS_OPEN,
	LOSS_BURST,
	LOSS_CONNECT,
	LOSS_DATAGRAM,
	LOSS_CHANGE,
	LOSS_CALL,
	LOSS_CONTENT,
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
