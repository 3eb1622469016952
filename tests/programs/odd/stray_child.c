/* The root of the tree gives its own parent, which is not traced, a child that it never asked for. */
#include "odd.h"

int main(void)
{
	pid_t child = MUST(clone3((struct clone3_args){ .flags = CLONE_PARENT }));

	if (child == 0) {
		usleep(20000);
		_exit(9);
	}
	usleep(100000);
	return 6;
}
