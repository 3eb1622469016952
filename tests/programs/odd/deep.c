/* Runs from below 45 directories, more than the walk of a path takes; and from below 35, which it takes whole. */
#include "odd.h"

int main(int argc, char **argv)
{
	int program = MUST(open("deep", O_RDONLY | O_CLOEXEC)), depths[] = { 30, 45 };
	(void)argv;

	if (argc > 1)
		return 0;
	for (int depth = 1, next = 0; next < 2; depth++) {
		char name[8];

		snprintf(name, sizeof(name), "d%d", depth);
		MUST(mkdir(name, 0755));
		MUST(chdir(name));
		if (depth == depths[next]) {
			char path[64];
			pid_t child;

			snprintf(path, sizeof(path), "/proc/self/fd/%d", program);
			MUST(linkat(AT_FDCWD, path, AT_FDCWD, "deep", AT_SYMLINK_FOLLOW));
			child = MUST(fork());
			if (child == 0)
				execl("./deep", "deep", name, NULL);
			reap(child);
			next++;
		}
	}
	return 0;
}
