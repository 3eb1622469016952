/* The leader ends before another thread, in four ways; what wait() says of each is printed. */
#include "odd.h"

enum last { THREAD_EXIT, EXIT_GROUP, FORK_AND_EXIT, KILLED };

static void *outlive(void *how)
{
	/* The leader is a zombie when /proc says so: nothing to sleep for. */
	for (char state = 0; state != 'Z';) {
		FILE *stat = fopen("/proc/self/stat", "r");

		if (!stat || fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
			_exit(97);
		fclose(stat);
		sched_yield();
	}
	switch ((enum last)(intptr_t)how) {
	case FORK_AND_EXIT:
		if (fork() == 0)
			_exit(44);
		wait(NULL);
		/* fall through */
	case THREAD_EXIT:
		syscall(SYS_exit, 5);
	case EXIT_GROUP:
		syscall(SYS_exit_group, 6);
	case KILLED:
		kill(getpid(), SIGTERM);
		pause();
	}
	return NULL;
}

int main(void)
{
	for (enum last how = THREAD_EXIT; how <= KILLED; how++) {
		pid_t child = MUST(fork());

		if (child == 0) {
			pthread_t thread;

			pthread_create(&thread, NULL, outlive, (void *)(intptr_t)how);
			syscall(SYS_exit, 3);
		}
		reap(child);
	}
	return 0;
}
