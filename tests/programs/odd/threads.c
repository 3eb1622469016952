/* Eleven threads, each of which forks a child of its own: threads are no processes, and their children are the process's. */
#include "odd.h"

static void *fork_one(void *number)
{
	pid_t child = MUST(fork());

	if (child == 0)
		_exit((intptr_t)number);
	MUST(waitpid(child, NULL, 0));
	return NULL;
}

int main(void)
{
	for (intptr_t i = 1; i <= 11; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, fork_one, (void *)i);
		pthread_join(thread, NULL);
	}
	return 0;
}
