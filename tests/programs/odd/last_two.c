/* 211 processes whose last two threads, the leader among them, end in the same instant: the codes that wait() saw. */
#include "odd.h"

static pthread_barrier_t together;

static void *end(void *unused)
{
	pthread_barrier_wait(&together);
	syscall(SYS_exit, 5);
	return unused;
}

int main(void)
{
	for (int i = 0; i < 211; i++) {
		pid_t child = MUST(fork());

		if (child == 0) {
			pthread_t thread;

			pthread_barrier_init(&together, NULL, 2);
			pthread_create(&thread, NULL, end, NULL);
			pthread_barrier_wait(&together);
			syscall(SYS_exit, 3);
		}
		reap(child);
	}
	return 0;
}
