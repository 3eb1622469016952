/* A daemon by the book: fork, setsid, fork, exec. It outlives both of its parents. */
#include "odd.h"

int main(void)
{
	pid_t child = MUST(fork());

	if (child == 0) {
		pid_t middle = MUST(setsid());

		if (MUST(fork()) == 0) {
			/* Adopted by somebody else as soon as its parent is gone. */
			while (getppid() == middle)
				sched_yield();
			execl("/bin/sh", "sh", "-c", "exit 12", NULL);
			_exit(98);
		}
		_exit(11);
	}
	reap(child);
	return 10;
}
