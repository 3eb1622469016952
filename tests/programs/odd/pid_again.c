/* The same process id, used by seven processes, one after the other. */
#include "odd.h"

int main(void)
{
	pid_t first = 0;

	for (int i = 0; i < 7; i++) {
		struct clone3_args args = { .exit_signal = SIGCHLD };
		pid_t child;

		if (first) {
			args.set_tid = (uintptr_t)&first;
			args.set_tid_size = 1;
		}
		child = MUST(clone3(args));
		if (child == 0) {
			if (i % 2)
				execl("/bin/sh", "sh", "-c", "exit 20", NULL);
			_exit(i);
		}
		reap(child);
		first = child;
	}
	return 0;
}
