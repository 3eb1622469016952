/*
 * Programs whose file has no name: one of a memfd, one that was deleted, one that is called "(deleted)" and is not,
 * and one of a mount that is gone, as runc runs itself.
 */
#include "odd.h"
#include <sys/sendfile.h>

extern char **environ;

static int copy_to(int to)
{
	int from = MUST(open("nameless", O_RDONLY));

	while (MUST(sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	return to;
}

static void run(int file, const char *code)
{
	pid_t child = MUST(fork());

	if (child == 0) {
		char *arguments[] = { "nameless", (char *)code, NULL };

		MUST(fexecve(file, arguments, environ));
	}
	reap(child);
}

int main(int argc, char **argv)
{
	const char *names[] = { "gone", "file (deleted)" };
	int bound;

	if (argc > 1)
		return atoi(argv[1]);
	run(copy_to(MUST(memfd_create("in memory", MFD_CLOEXEC))), "41");
	for (int i = 0; i < 2; i++) {
		int file;

		close(copy_to(MUST(open(names[i], O_CREAT | O_WRONLY, 0755))));
		file = MUST(open(names[i], O_RDONLY | O_CLOEXEC));
		if (i == 0)
			MUST(unlink(names[i]));
		run(file, i == 0 ? "42" : "43");
	}
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	MUST(mount("nameless", names[1], NULL, MS_BIND, NULL));
	bound = MUST(open(names[1], O_PATH | O_CLOEXEC));
	MUST(umount2(names[1], MNT_DETACH));
	run(bound, "44");
	return 0;
}
