/* A thread that is not the leader execs: the process stays, its other threads end, and it has one exit. */
#include "odd.h"

static void *wait_forever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void *exec_again(void *unused)
{
	execl("/proc/self/exe", "thread_exec", "again", NULL);
	_exit(98);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	(void)argv;

	if (argc > 1) {
		pid_t child = MUST(fork());

		if (child == 0)
			_exit(8);
		reap(child);
		return 7;
	}
	for (int i = 0; i < 5; i++)
		pthread_create(&thread, NULL, wait_forever, NULL);
	pthread_create(&thread, NULL, exec_again, NULL);
	wait_forever(NULL);
}
