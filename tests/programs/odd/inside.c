/* The only program of an image made from nothing: it has a child, and both are in the container. Waits for a FIFO first, if told to. */
#include "odd.h"

int main(int argc, char **argv)
{
	pid_t child;

	if (argc > 1)
		MUST(open(argv[1], O_RDONLY));
	child = MUST(fork());
	if (child == 0)
		_exit(18);
	waitpid(child, NULL, 0);
	return 17;
}
