/* No argument at all, an empty one, one of 128 KiB less a byte, and 2 MB less what the kernel keeps. */
#include "odd.h"

#define LONG (131072 - 1)
#define MANY 15

int main(int argc, char **argv)
{
	static char longest[LONG + 1];
	char *none[] = { NULL }, *empty[] = { "arguments", "", "", NULL }, *one[] = { "arguments", longest, NULL },
	     *most[MANY + 2] = { "arguments" };
	char **all[] = { none, empty, one, most };

	/* The kernel has made an empty argument of none since 5.18 (dcd46d897adb). */
	if (argc != 1 || !argv[0][0])
		return 0;
	memset(longest, 'x', LONG);
	for (int i = 1; i <= MANY; i++)
		most[i] = longest;
	for (int i = 0; i < 4; i++) {
		pid_t child = MUST(fork());

		if (child == 0) {
			MUST(execve("/proc/self/exe", all[i], NULL));
		}
		reap(child);
	}
	return 0;
}
