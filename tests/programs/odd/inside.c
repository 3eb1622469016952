/* The only program of an image made from nothing: it has a child, and both are in the container. */
#include "odd.h"

int main(void)
{
	pid_t child = MUST(fork());

	if (child == 0)
		_exit(18);
	waitpid(child, NULL, 0);
	return 17;
}
