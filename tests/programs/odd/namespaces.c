/* A pid namespace whose init has a child, and a root directory of its own whose file has another path outside. */
#include "odd.h"

int main(int argc, char **argv)
{
	pid_t child;

	if (argc > 1)
		return atoi(argv[1]);
	MUST(unshare(CLONE_NEWPID | CLONE_NEWNS));
	child = MUST(fork());
	if (child == 0) {
		/* Process 1 of the namespace. */
		child = MUST(fork());
		if (child == 0) {
			MUST(mkdir("inner", 0755));
			MUST(mount("none", "inner", "tmpfs", 0, NULL));
			MUST(mkdir("inner/bin", 0755));
			MUST(system("cp namespaces inner/bin/prog"));
			MUST(chroot("inner"));
			MUST(chdir("/bin"));
			execl("/bin/prog", "prog", "31", NULL);
			_exit(98);
		}
		reap(child);
		_exit(30);
	}
	reap(child);
	return 0;
}
