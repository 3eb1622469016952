/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Finds the five variables that may be read in a process's environment.
 *
 * BPF cannot measure a user string without copying it, so each string passes
 * through `window`, a piece at a time, and is wiped from there before the
 * program ends: nothing but the values of the five variables is left in a map
 * or goes to the ring.
 */
#ifndef AGENTSIGHT_ENVIRONMENT_H
#define AGENTSIGHT_ENVIRONMENT_H

#include "kernel.h"

/* In the order of enum exec_part from EXEC_PART_TRACEPARENT on. */
enum variable {
	VARIABLE_TRACEPARENT,
	VARIABLE_TRACESTATE,
	VARIABLE_BAGGAGE,
	VARIABLE_SERVICE_NAME,
	VARIABLE_RESOURCE_ATTRIBUTES,
	VARIABLES,
};

#define VALUE_BYTES_MAX 1024
#define WINDOW_BYTES 512
/*
 * One program searches so many pieces and then tail-calls itself: the verifier walks every turn of a loop, and
 * a program of 1,500 turns takes it a second to load. 31 calls make 2,976 strings; what is longer is said.
 */
#define PIECES_PER_CALL 96
#define CALLS_MAX 31

struct environment {
	__u64 user_values[VARIABLES]; /* address of the value, 0 where absent */
	__u64 user_at;		      /* how far the search has come */
	__u64 user_end;
	__u32 calls;
	__u32 at_start_of_string;
	char window[WINDOW_BYTES];
};

/*
 * clang 14 turns a comparison into a call of memcmp(), which BPF has not, so the names are compared as four
 * little-endian words, which the compiler folds to constants. No name is longer than 32 bytes.
 */
#define NAME_HAS(name, i) ((i) < sizeof(name) - 1)
#define NAME_BYTE(name, i) ((__u64)(NAME_HAS(name, i) ? (name)[NAME_HAS(name, i) ? (i) : 0] : 0) << 8 * ((i) % 8))
#define MASK_BYTE(name, i) ((__u64)(NAME_HAS(name, i) ? 0xff : 0) << 8 * ((i) % 8))
#define EIGHT(byte, name, i)                                                                                           \
	(byte(name, i) | byte(name, i + 1) | byte(name, i + 2) | byte(name, i + 3) | byte(name, i + 4) |               \
	 byte(name, i + 5) | byte(name, i + 6) | byte(name, i + 7))
#define WORD_MATCHES(words, name, w) (((words)[w] & EIGHT(MASK_BYTE, name, 8 * w)) == EIGHT(NAME_BYTE, name, 8 * w))
#define STARTS_WITH(words, name)                                                                                       \
	(WORD_MATCHES(words, name, 0) && WORD_MATCHES(words, name, 1) && WORD_MATCHES(words, name, 2) &&               \
	 WORD_MATCHES(words, name, 3))

static __always_inline void note_variable(struct environment *found, __u64 user_string)
{
	const __u64 *words = (const __u64 *)found->window;

#define NOTE(which, name)                                                                                              \
	if (!found->user_values[which] && STARTS_WITH(words, name))                                                    \
	found->user_values[which] = user_string + sizeof(name) - 1
	NOTE(VARIABLE_TRACEPARENT, "TRACEPARENT=");
	NOTE(VARIABLE_TRACESTATE, "TRACESTATE=");
	NOTE(VARIABLE_BAGGAGE, "BAGGAGE=");
	NOTE(VARIABLE_SERVICE_NAME, "OTEL_SERVICE_NAME=");
	NOTE(VARIABLE_RESOURCE_ATTRIBUTES, "OTEL_RESOURCE_ATTRIBUTES=");
#undef NOTE
}

enum search { SEARCH_COMPLETE, SEARCH_GOES_ON, SEARCH_INCOMPLETE };

static __always_inline void begin_search(struct environment *found, __u64 user_start, __u64 user_end)
{
	__builtin_memset(found, 0, sizeof(*found));
	found->user_at = user_start;
	found->user_end = user_end;
	found->at_start_of_string = true;
}

static __always_inline enum search search_environment(struct environment *found)
{
	for (int i = 0; i < PIECES_PER_CALL; i++) {
		long length;

		if (found->user_at >= found->user_end)
			return SEARCH_COMPLETE;
		length = bpf_probe_read_user_str(found->window, WINDOW_BYTES, (void *)found->user_at);
		if (length <= 0)
			return SEARCH_INCOMPLETE;
		if (found->at_start_of_string)
			note_variable(found, found->user_at);
		/* A full window did not hold the string's end: the NUL in it is the helper's. */
		found->at_start_of_string = length < WINDOW_BYTES;
		found->user_at += length < WINDOW_BYTES ? length : WINDOW_BYTES - 1;
	}
	return ++found->calls < CALLS_MAX ? SEARCH_GOES_ON : SEARCH_INCOMPLETE;
}

static __always_inline void end_search(struct environment *found)
{
	__builtin_memset(found->window, 0, sizeof(found->window));
}

#endif
