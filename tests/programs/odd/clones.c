/* clone3 with a pidfd, without an exit signal, with the parent's memory; and CLONE_PARENT, whose parent is not its forker. */
#include "odd.h"

int main(void)
{
	int pidfd, up[2];
	pid_t child;

	child = MUST(clone3((struct clone3_args){ .flags = CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD }));
	if (child == 0)
		_exit(1);
	reap(child);
	child = MUST(clone3((struct clone3_args){ .exit_signal = 0 }));
	if (child == 0)
		_exit(2);
	reap(child);
	/* The child's child is a child of this process to the kernel, and is waited for here. */
	MUST(pipe(up));
	child = MUST(fork());
	if (child == 0) {
		pid_t sibling = MUST(clone3((struct clone3_args){ .flags = CLONE_PARENT }));

		if (sibling == 0) {
			execl("/bin/sh", "sh", "-c", "exit 5", NULL);
			_exit(98);
		}
		MUST(write(up[1], &sibling, sizeof(sibling)));
		_exit(4);
	}
	reap(child);
	MUST(read(up[0], &child, sizeof(child)));
	reap(child);
	return 0;
}
