/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The wire, continued: what single calls say (kinds 10 to 16). Each room's wire.rs decodes its own.
 * Numbers of changes and calls, like those of kinds, are never used again.
 */
#ifndef AGENTSIGHT_CALL_EVENT_H
#define AGENTSIGHT_CALL_EVENT_H

#include "event.h"

/* Where something went. */
struct socket_address {
	__u16 family;
	__u16 port;   /* as a number */
	__u32 length; /* of a unix address: bytes that follow the record */
	__u8 ip[16];  /* IPv4 in the first four */
};

struct connect_event {
	struct event_header header; /* at: when the outcome was known */
	__u64 open;
	__u64 began;
	struct socket_address to;
	__u32 error;
	__u32 reserved;
};

#define DATAGRAM_OUT 1
#define DATAGRAM_STREAM 2 /* over TCP */

struct datagram_event {
	struct event_header header;
	__u64 open;
	__u64 when; /* an input's exit, an output's enter */
	struct socket_address server;
	__u32 burst;
	__u32 captured; /* bytes that follow */
	__u64 total;	/* bytes that there were */
};

enum change_kind {
	CHANGE_RENAME = 1,
	CHANGE_UNLINK = 2,
	CHANGE_RMDIR = 3,
	CHANGE_LINK = 4,
	CHANGE_SYMLINK = 5,
	CHANGE_MKDIR = 6,
	CHANGE_MKNOD = 7,
	CHANGE_TRUNCATE = 8,
	CHANGE_FALLOCATE = 9,
	CHANGE_CHMOD = 10,
	CHANGE_CHOWN = 11,
	CHANGE_SETXATTR = 12,
};

/* The variable parts of a change, in the order in which they follow it. */
enum change_part {
	CHANGE_PART_BASE, /* what the path is relative to: components, leaf first, each ended by NUL */
	CHANGE_PART_PATH, /* as the caller gave it */
	CHANGE_PART_NEW_BASE,
	CHANGE_PART_NEW_PATH,
	CHANGE_PARTS,
};

#define CHANGE_HAS_FILE 1 /* by an open descriptor: inode, device and generation are its */

struct change_event {
	struct event_header header;
	__u64 inode;
	__u32 device;
	__u32 generation;
	__u64 value;
	__u64 offset; /* fallocate: where it began */
	__u32 change; /* enum change_kind */
	__u32 error;
	__u32 mode; /* fallocate: FALLOC_FL_ */
	__u32 reserved;
	struct exec_part_head parts[CHANGE_PARTS];
};

struct kill_event {
	struct event_header header;
	__u64 target_start;
	__u32 target_tgid;
	__u32 signal;
};

struct wait_event {
	struct event_header header;
	__u32 child_vpid;
	__u32 reserved;
};

#define PASS_RECEIVED 1
#define PASS_OVER_BURST 2 /* over_open and over_burst are set */

struct pass_event {
	struct event_header header;
	__u64 open;
	__u64 over_open;
	__u32 over_burst;
	__u32 reserved;
};

enum call_kind {
	CALL_SETUID = 1,
	CALL_SETGID = 2,
	CALL_PTRACE = 3,
	CALL_PROCESS_VM_WRITEV = 4,
	CALL_PROCESS_VM_READV = 5,
	CALL_MEMFD_CREATE = 6,
	CALL_IO_URING_SETUP = 7,
	CALL_COMPAT_CALL = 8,
	CALL_BIND = 9,
	CALL_LISTEN = 10,
	CALL_MAP_SHARED = 11,
	CALL_CHROOT = 12,
	CALL_NAMESPACES = 13,
	CALL_MOUNT = 14,
	CALL_BPF = 15,
	CALL_LOAD_MODULE = 16,
	CALL_IO_URING_FOLLOWED = 17, /* set up, and its requests are seen */
	CALL_IO_URING_UNSEEN = 18,   /* a request that is not */
};

#define CALL_HAS_TARGET 1

struct call_event {
	struct event_header header;
	__u64 arguments[2];
	__u64 target_start;
	__u32 target_tgid;
	__u32 call; /* enum call_kind */
	__u32 error;
	__u32 reserved;
};

#endif
