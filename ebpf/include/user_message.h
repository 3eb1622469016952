/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What a 64-bit caller hands to sendmsg() and its kin. */
#ifndef AGENTSIGHT_USER_MESSAGE_H
#define AGENTSIGHT_USER_MESSAGE_H

#include <linux/types.h>

struct user_iovec {
	__u64 base;
	__u64 length;
};

struct user_msghdr {
	__u64 name;
	__u32 name_length;
	__u32 padding;
	__u64 iov;
	__u64 iov_length;
	__u64 control;
	__u64 control_length;
	__u32 flags;
	__u32 more_padding;
};

struct user_mmsghdr {
	struct user_msghdr message;
	__u32 length; /* bytes that were sent or received */
	__u32 padding;
};

/* Nothing is known of the messages of one call behind these. */
#define MESSAGES_MAX 64

struct user_cmsghdr {
	__u64 length; /* with this head */
	__s32 level;
	__s32 type;
};

#endif
