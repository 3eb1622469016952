/* What the odd programs share: a check that says what failed, and a wait that says how a child ended. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(call)                                                                                                     \
	({                                                                                                             \
		long must = (long)(call);                                                                              \
		if (must < 0) {                                                                                        \
			perror(#call);                                                                                 \
			_exit(99);                                                                                     \
		}                                                                                                      \
		must;                                                                                                  \
	})

/* Waits for a child of any exit signal and prints its wait status: what AgentSight must say too. */
static inline int reap(pid_t child)
{
	int status;

	MUST(waitpid(child, &status, __WALL));
	if (WIFSIGNALED(status))
		printf("signal %d%s\n", WTERMSIG(status), WCOREDUMP(status) ? " core" : "");
	else
		printf("code %d\n", WEXITSTATUS(status));
	fflush(stdout);
	return status;
}

/* struct clone_args of <linux/sched.h>, which older headers lack in part. */
struct clone3_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
		cgroup;
};

static inline pid_t clone3(struct clone3_args args)
{
	return syscall(SYS_clone3, &args, sizeof(args));
}
