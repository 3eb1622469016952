/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Payload: who wants which, how much may still be taken, and where the programs keep what they are about to say.
 *
 * Where nothing is captured each map has one entry, and no program leads here.
 */
#ifndef AGENTSIGHT_CONTENTS_H
#define AGENTSIGHT_CONTENTS_H

#include "bursts.h"
#include "opens.h"

#define CAPTURE_PIPES 1
#define CAPTURE_UNIX 2
#define CAPTURE_TTYS 4
#define CAPTURE_NETWORKS 8 /* capture_networks has some */
#define CAPTURE_NAMES 16   /* of hosts, whose addresses may still become known */

/* What a session wants, by its slot; slot 0 is the host's. User space writes it before the session's first process. */
struct capture_policy {
	__u64 bytes;	   /* that the session may have; of the host: a minute */
	__u32 burst_bytes; /* that one burst may have */
	__u32 kinds;	   /* CAPTURE_ */
	__u32 start;	   /* number of the state that a path begins in */
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set again by the loader, as are those below */
	__type(key, __u32);
	__type(value, struct capture_policy);
} capture_policies SEC(".maps");

/* What of it is spent. */
struct capture_spent {
	__u64 bytes;
	__u64 since; /* of the host: when its minute began */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct capture_spent);
} capture_spent SEC(".maps");

/* A state of what reads paths: components, leaf first, each ended by NUL (src/content/automaton.rs). */
struct capture_state {
	__u16 next[256];
	__u32 accepts; /* a path that ends here */
};

#define STATE_NOTHING 0 /* whatever follows, it is not wanted */
#define STATE_ALL 1	/* whatever follows, it is */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct capture_state);
} capture_states SEC(".maps");

/* One end of a connection: every address is one of IPv6. */
struct capture_network {
	__u32 prefix; /* how many bits of the following count */
	__u32 slot;
	__u32 port; /* 0: any */
	__u8 ip[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct capture_network);
	__type(value, __u32);
} capture_networks SEC(".maps");

/* A power of two: positions are masked. */
#define CHUNK_BYTES_MAX 8192

struct chunk_record {
	struct chunk_event event;
	/* A masked position and a whole chunk fit behind each other. */
	unsigned char bytes[2 * CHUNK_BYTES_MAX];
};

/* What is still to be copied of a call: bytes of pieces of messages. */
struct cursor {
	__u64 left;	    /* bytes that may still be taken */
	__u64 message_left; /* bytes that were moved of the current message */
	__u64 user_pieces;  /* the next struct iovec */
	__u64 pieces;	    /* how many there are still */
	__u64 user_bytes;   /* what is left of the current piece */
	__u64 piece_left;
	__u64 user_messages; /* the next struct mmsghdr */
	__u32 messages;	     /* how many there are still */
	__u32 missing;	     /* enum chunk_missing: why the rest of the call is, when all that may be taken is */
	__u32 within_page;   /* a longer piece could not be read */
	__u32 rounds;
	__u32 full; /* the ring had no room */
	__u32 reserved;
};

struct content_scratch {
	struct chunk_record record;
	struct cursor cursor;
	__u64 skipped; /* behind the bytes of the record: what could not be read */
	/* A path on its way through the states. */
	__u32 used;  /* bytes of it, in the record's place */
	__u32 flags; /* PART_ */
	__u32 at;
	__u32 state;
};

/* Both hooks have their own: one may come between the other where programs can be preempted (copies.h). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct content_scratch);
} content_scratch SEC(".maps");

static __always_inline bool is_of_request(const void *stages)
{
	return stages == &queued_stages;
}

static __always_inline struct content_scratch *content_scratch_of(const void *stages)
{
	__u32 place = is_of_request(stages);

	return bpf_map_lookup_elem(&content_scratch, &place);
}

static __always_inline struct capture_policy *policy_of(__u32 session)
{
	__u32 slot = session & (SESSION_SLOTS - 1);

	return bpf_map_lookup_elem(&capture_policies, &slot);
}

/* Payload that could not even be looked at. */
static __always_inline void lose_content(const struct call *call)
{
	count_made(call->session, LOSS_CONTENT);
	count_lost(call->session, LOSS_CONTENT);
}

#endif
