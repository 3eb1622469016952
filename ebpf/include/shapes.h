/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Which calls are wanted, and where each keeps what. Two tables, of rodata, indexed by the call's number. */
#ifndef AGENTSIGHT_SHAPES_H
#define AGENTSIGHT_SHAPES_H

#include <asm/unistd.h>

#include "call.h"

#define NUMBERS_MAX 512

/* Where a transfer begins. */
enum offset {
	OFFSET_FILE,		 /* where the open file stood before the call */
	OFFSET_ARGUMENT,	 /* the fourth argument */
	OFFSET_ARGUMENT_OR_FILE, /* the fourth, where it is not -1 */
};

struct shape {
	__u8 stage;	 /* enum exit_stage */
	__u8 slot;	 /* of a transfer */
	__u8 offset;	 /* enum offset */
	__u8 flags_at;	 /* argument with MSG_ flags, 0: none */
	__u8 address_at; /* argument that points to a socket address, 0: none */
};

#define TRANSFER(...)                                                                                                  \
	{                                                                                                              \
		.stage = EXIT_TRANSFER, __VA_ARGS__                                                                    \
	}
#define IN .slot = BURST_IN
#define OUT .slot = BURST_OUT

const struct shape shapes[NUMBERS_MAX] = {
	[__NR_read] = TRANSFER(IN),
	[__NR_pread64] = TRANSFER(IN, .offset = OFFSET_ARGUMENT),
	[__NR_readv] = TRANSFER(IN),
	[__NR_preadv] = TRANSFER(IN, .offset = OFFSET_ARGUMENT),
	[__NR_preadv2] = TRANSFER(IN, .offset = OFFSET_ARGUMENT_OR_FILE),
	[__NR_recvfrom] = TRANSFER(IN, .flags_at = 3, .address_at = 4),
	[__NR_recvmsg] = TRANSFER(IN, .flags_at = 2),
	[__NR_write] = TRANSFER(OUT),
	[__NR_pwrite64] = TRANSFER(OUT, .offset = OFFSET_ARGUMENT),
	[__NR_writev] = TRANSFER(OUT),
	[__NR_pwritev] = TRANSFER(OUT, .offset = OFFSET_ARGUMENT),
	[__NR_pwritev2] = TRANSFER(OUT, .offset = OFFSET_ARGUMENT_OR_FILE),
	[__NR_sendto] = TRANSFER(OUT, .address_at = 4),
	[__NR_sendmsg] = TRANSFER(OUT),
	[__NR_vmsplice] = TRANSFER(OUT),
	[__NR_recvmmsg] = {.stage = EXIT_MESSAGES, IN, .flags_at = 3},
	[__NR_sendmmsg] = {.stage = EXIT_MESSAGES, OUT},
	[__NR_copy_file_range] = {.stage = EXIT_COPY},
	[__NR_sendfile] = {.stage = EXIT_COPY},
	[__NR_splice] = {.stage = EXIT_COPY},
	[__NR_tee] = {.stage = EXIT_COPY},
	[__NR_ioctl] = {.stage = EXIT_COPY},
	[__NR_mmap] = {.stage = EXIT_MAP},
	[__NR_openat] = {.stage = EXIT_OPEN},
	[__NR_openat2] = {.stage = EXIT_OPEN},
	[__NR_socket] = {.stage = EXIT_OPEN},
	[__NR_accept] = {.stage = EXIT_OPEN},
	[__NR_accept4] = {.stage = EXIT_OPEN},
	[__NR_memfd_create] = {.stage = EXIT_OPEN},
	[__NR_pipe2] = {.stage = EXIT_PAIR},
	[__NR_socketpair] = {.stage = EXIT_PAIR},
	[__NR_connect] = {.stage = EXIT_CONNECT},
	[__NR_renameat2] = {.stage = EXIT_CHANGE},
	[__NR_unlinkat] = {.stage = EXIT_CHANGE},
	[__NR_linkat] = {.stage = EXIT_CHANGE},
	[__NR_symlinkat] = {.stage = EXIT_CHANGE},
	[__NR_mkdirat] = {.stage = EXIT_CHANGE},
	[__NR_mknodat] = {.stage = EXIT_CHANGE},
	[__NR_truncate] = {.stage = EXIT_CHANGE},
	[__NR_ftruncate] = {.stage = EXIT_CHANGE},
	[__NR_fallocate] = {.stage = EXIT_CHANGE},
	[__NR_fchmod] = {.stage = EXIT_CHANGE},
	[__NR_fchmodat] = {.stage = EXIT_CHANGE},
	[__NR_fchown] = {.stage = EXIT_CHANGE},
	[__NR_fchownat] = {.stage = EXIT_CHANGE},
	[__NR_setxattr] = {.stage = EXIT_CHANGE},
	[__NR_lsetxattr] = {.stage = EXIT_CHANGE},
	[__NR_fsetxattr] = {.stage = EXIT_CHANGE},
	[452] = {.stage = EXIT_CHANGE}, /* fchmodat2, since 6.6 */
	[463] = {.stage = EXIT_CHANGE}, /* setxattrat, since 6.13 */
	[__NR_wait4] = {.stage = EXIT_CONTROL},
	[__NR_waitid] = {.stage = EXIT_CONTROL},
	[__NR_setuid] = {.stage = EXIT_CONTROL},
	[__NR_setreuid] = {.stage = EXIT_CONTROL},
	[__NR_setresuid] = {.stage = EXIT_CONTROL},
	[__NR_setgid] = {.stage = EXIT_CONTROL},
	[__NR_setregid] = {.stage = EXIT_CONTROL},
	[__NR_setresgid] = {.stage = EXIT_CONTROL},
	[__NR_ptrace] = {.stage = EXIT_CONTROL},
	[__NR_process_vm_writev] = {.stage = EXIT_CONTROL},
	[__NR_process_vm_readv] = {.stage = EXIT_CONTROL},
	[__NR_shmat] = {.stage = EXIT_CONTROL},
	[__NR_bind] = {.stage = EXIT_CONTROL},
	[__NR_listen] = {.stage = EXIT_CONTROL},
	[__NR_chroot] = {.stage = EXIT_CONTROL},
	[__NR_pivot_root] = {.stage = EXIT_CONTROL},
	[__NR_unshare] = {.stage = EXIT_CONTROL},
	[__NR_setns] = {.stage = EXIT_CONTROL},
	[__NR_mount] = {.stage = EXIT_CONTROL},
	[__NR_umount2] = {.stage = EXIT_CONTROL},
	[__NR_bpf] = {.stage = EXIT_CONTROL},
	[__NR_init_module] = {.stage = EXIT_CONTROL},
	[__NR_finit_module] = {.stage = EXIT_CONTROL},
	[425] = {.stage = EXIT_CONTROL}, /* io_uring_setup, since 5.1 */
	[429] = {.stage = EXIT_CONTROL}, /* move_mount, since 5.2 */
	[438] = {.stage = EXIT_CONTROL}, /* pidfd_getfd, since 5.6 */
#ifdef __NR_renameat
	[__NR_renameat] = {.stage = EXIT_CHANGE},
#endif
#ifdef __NR_open
	[__NR_open] = {.stage = EXIT_OPEN},
	[__NR_creat] = {.stage = EXIT_OPEN},
	[__NR_pipe] = {.stage = EXIT_PAIR},
	[__NR_rename] = {.stage = EXIT_CHANGE},
	[__NR_unlink] = {.stage = EXIT_CHANGE},
	[__NR_rmdir] = {.stage = EXIT_CHANGE},
	[__NR_link] = {.stage = EXIT_CHANGE},
	[__NR_symlink] = {.stage = EXIT_CHANGE},
	[__NR_mkdir] = {.stage = EXIT_CHANGE},
	[__NR_mknod] = {.stage = EXIT_CHANGE},
	[__NR_chmod] = {.stage = EXIT_CHANGE},
	[__NR_chown] = {.stage = EXIT_CHANGE},
	[__NR_lchown] = {.stage = EXIT_CHANGE},
#endif
};

/* enum enter_stage by number. */
const __u8 enter_shapes[NUMBERS_MAX] = {
	[__NR_write] = ENTER_TIME,
	[__NR_pwrite64] = ENTER_TIME,
	[__NR_writev] = ENTER_TIME,
	[__NR_pwritev] = ENTER_TIME,
	[__NR_pwritev2] = ENTER_TIME,
	[__NR_sendto] = ENTER_TIME,
	[__NR_sendmsg] = ENTER_TIME,
	[__NR_sendmmsg] = ENTER_TIME,
	[__NR_vmsplice] = ENTER_TIME,
	[__NR_copy_file_range] = ENTER_TIME,
	[__NR_sendfile] = ENTER_TIME,
	[__NR_splice] = ENTER_TIME,
	[__NR_tee] = ENTER_TIME,
	[__NR_connect] = ENTER_TIME,
	[__NR_close] = ENTER_CLOSE,
	[__NR_dup3] = ENTER_REPLACE,
	[__NR_setuid] = ENTER_IDS,
	[__NR_setreuid] = ENTER_IDS,
	[__NR_setresuid] = ENTER_IDS,
	[__NR_setgid] = ENTER_IDS,
	[__NR_setregid] = ENTER_IDS,
	[__NR_setresgid] = ENTER_IDS,
#ifdef __NR_close_range
	[__NR_close_range] = ENTER_CLOSE_RANGE,
#else
	[436] = ENTER_CLOSE_RANGE, /* since 5.9, on every architecture */
#endif
#ifdef __NR_dup2
	[__NR_dup2] = ENTER_REPLACE,
#endif
};

#endif
