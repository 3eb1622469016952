/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The kernel's own types, cut down to the fields that the programs read.
 *
 * Every access goes through CO-RE: the loader finds the real offset in the
 * running kernel's BTF, so only names and types matter here, not layout.
 * `make test-kernels` checks them against 5.10, 6.1, 6.12 and the newest.
 */
#ifndef AGENTSIGHT_KERNEL_H
#define AGENTSIGHT_KERNEL_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	long long counter;
} atomic64_t;

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct qstr {
	__u32 len;
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

/* Before 6.13 (90ee6ed776c0) references were counted in f_count. */
typedef struct {
	atomic64_t refcnt; /* one less than there are */
} file_ref_t;

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	__u16 i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	__u32 i_rdev;
	__u32 i_generation;
	long long i_size;
};

struct file {
	__u32 f_mode;
	__u32 f_flags;
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
	long long f_pos;
	file_ref_t f_ref;
};

struct file___before_6_13 {
	atomic64_t f_count;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *open_fds;
};

struct files_struct {
	atomic_t count;
	struct fdtable *fdt;
};

struct in6_addr {
	__u8 bytes[16];
};

struct ns_common {
	__u32 inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport; /* network order */
	__u16 skc_num;
	__u16 skc_family;
	__u8 skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct socket {
	__s16 type;
	struct file *file;
	struct sock *sk;
};

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	/* Bit fields before 5.6 (bf9765145b85); BPF_CORE_READ_BITFIELD_PROBED() reads either. */
	__u16 sk_protocol;
	int sk_err;
};

struct io_cqe {
	__s32 res;
};

/* A request to io_uring. It begins with what its operation knows of it. */
struct io_kiocb {
	struct file *file;
	__u8 opcode;
	__u32 flags; /* of 64 bits since 6.10; the low ones are the submitter's */
	struct io_cqe cqe;
};

struct kiocb {
	long long ki_pos;
};

struct io_rw {
	struct kiocb kiocb;
	__u64 addr;
	__u32 len;
};

struct io_sr_msg {
	void *buf;
	int len;
	unsigned int msg_flags;
	__u16 flags;
};

struct open_how {
	__u64 flags;
};

struct io_open {
	__u32 file_slot;
	struct open_how how;
};

struct io_close {
	int fd;
	__u32 file_slot;
};

struct io_accept {
	int iou_flags;
	__u32 file_slot;
};

struct io_connect {
	void *addr;
	int addr_len;
};

struct io_socket {
	__u32 file_slot;
};

struct io_splice {
	long long off_out;
	long long off_in;
	int splice_fd_in;
	unsigned int flags;
};

struct kernel_siginfo {
	int si_code;
};

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len; /* of the address with its family, bytes */
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

#ifdef __TARGET_ARCH_arm64
struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
};
#else
struct pt_regs {
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};
#endif

struct thread_info {
	__u32 status;
};

struct linux_binprm {
	const char *filename;
};

struct mm_struct {
	unsigned long task_size;
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long env_start;
	unsigned long env_end;
	struct file *exe_file;
};

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
};

struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

enum pid_type {
	PIDTYPE_PID,
	PIDTYPE_TGID,
};

struct signal_struct {
	atomic_t live;
	int nr_threads;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4];
};

struct list_head {
	struct list_head *next;
};

struct kernfs_node {
	__u64 id;
	struct kernfs_node *__parent;
	const char *name;
};

/* Before 6.15 (633488947ef6) the field had another name. */
struct kernfs_node___before_6_15 {
	struct kernfs_node *parent;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
};

/* The numbers are the running kernel's own: it counts only the controllers that it was built with. */
enum cgroup_subsys_id {
	memory_cgrp_id,
	pids_cgrp_id,
};

struct task_struct {
	struct thread_info thread_info;
	int pid;
	int tgid;
	int exit_code;
	__u64 self_exec_id;
	__u64 start_boottime;
	struct task_struct *real_parent;
	struct list_head children;
	struct list_head sibling;
	struct task_struct *group_leader;
	struct css_set *cgroups;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	const struct cred *cred;
};

struct bpf_iter__task {
	struct task_struct *task;
};

/* Before 5.5 (cf25e24db61c) the field had another name. */
struct task_struct___before_5_5 {
	__u64 real_start_time;
};

#pragma clang attribute pop

/* include/linux/sched/signal.h; the value has not changed since 2.6. */
#define SIGNAL_GROUP_EXIT 0x00000004

static __always_inline __u64 task_start_boottime(struct task_struct *task)
{
	if (bpf_core_field_exists(task->start_boottime))
		return BPF_CORE_READ(task, start_boottime);
	return BPF_CORE_READ((struct task_struct___before_5_5 *)task, real_start_time);
}

/* Counts the execs of this process and its ancestors. Of 32 bits before 5.7 (d1e7fd6462ca): the low half is all of it.
 */
static __always_inline __u32 task_exec_id(struct task_struct *task)
{
	__u32 id = 0;

	bpf_probe_read_kernel(&id, sizeof(id), (void *)task + bpf_core_field_offset(struct task_struct, self_exec_id));
	return id;
}

/* The process id in the process's own pid namespace, as getpid() gives it. */
static __always_inline __u32 task_vpid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
	__u64 level = BPF_CORE_READ(pid, level);
	struct upid *number =
		(void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);

	return BPF_CORE_READ(number, nr);
}

#endif
