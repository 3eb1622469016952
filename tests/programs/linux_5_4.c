/*
 * Preloaded, it answers bpf() as Linux 5.4 does where later kernels know more: no newer kind of map, program or
 * helper. No distribution's 5.4 can be had for tests any more. What it refuses it writes to the file LINUX_5_4_LOG.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

/* The last of each in include/uapi/linux/bpf.h of 5.4. */
#define LAST_MAP_TYPE BPF_MAP_TYPE_DEVMAP_HASH
#define LAST_PROGRAM_TYPE BPF_PROG_TYPE_CGROUP_SOCKOPT
#define LAST_HELPER BPF_FUNC_tcp_gen_syncookie
/* What loaders put where a field is read that this kernel has not; a branch on a constant keeps it from being run. */
#define POISON 0xbad2310

static int refuse(const char *what, unsigned number)
{
	const char *path = getenv("LINUX_5_4_LOG");
	FILE *log = path ? fopen(path, "a") : NULL;

	if (log) {
		fprintf(log, "%s %u\n", what, number);
		fclose(log);
	}
	return 1;
}

static int unknown(long command, const union bpf_attr *attr)
{
	const struct bpf_insn *instructions;

	if (command == BPF_MAP_CREATE && attr->map_type > LAST_MAP_TYPE)
		return refuse("map type", attr->map_type);
	if (command != BPF_PROG_LOAD)
		return 0;
	if (attr->prog_type > LAST_PROGRAM_TYPE)
		return refuse("program type", attr->prog_type);
	instructions = (const void *)(unsigned long)attr->insns;
	for (unsigned i = 0; i < attr->insn_cnt; i++) {
		const struct bpf_insn *instruction = &instructions[i];

		if (instruction->code == (BPF_JMP | BPF_CALL) && !instruction->src_reg &&
		    instruction->imm > LAST_HELPER && instruction->imm != POISON)
			return refuse("helper", instruction->imm);
		/* A 64-bit constant takes two. */
		if (instruction->code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
	return 0;
}

long syscall(long number, ...)
{
	long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	va_list list;
	long a[6];

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_bpf && unknown(a[0], (const union bpf_attr *)a[1])) {
		errno = EINVAL;
		return -1;
	}
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
