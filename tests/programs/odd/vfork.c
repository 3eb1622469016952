/* vfork that execs, vfork that exits, posix_spawn that works, and one that fails in the child. */
#include "odd.h"
#include <spawn.h>

extern char **environ;

int main(void)
{
	char *arguments[] = { "sh", "-c", "exit 4", NULL };
	pid_t child = vfork();

	if (child == 0) {
		execv("/bin/sh", arguments);
		_exit(98);
	}
	reap(child);
	child = vfork();
	if (child == 0)
		_exit(3);
	reap(child);
	if (posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ))
		return 97;
	reap(child);
	if (posix_spawn(&child, "/nowhere/at/all", NULL, NULL, arguments, environ) != ENOENT)
		return 96;
	return 0;
}
