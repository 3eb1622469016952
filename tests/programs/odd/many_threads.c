/* 199 threads that wait for one barrier and then all call exit_group at once. */
#include "odd.h"

static pthread_barrier_t together;

static void *end(void *unused)
{
	pthread_barrier_wait(&together);
	_exit(23);
	return unused;
}

int main(void)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	pthread_barrier_init(&together, NULL, 199);
	for (int i = 0; i < 199; i++)
		if (pthread_create(&thread, &small, end, NULL))
			return 97;
	for (;;)
		pause();
}
