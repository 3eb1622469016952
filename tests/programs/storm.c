// Starts many processes, and keeps a log of its own of every one: process id, parent's, exit code, and what it did.
//
//   storm LOG WORKERS CHILDREN    WORKERS processes at a time, each of which starts CHILDREN more, three at a time
//   storm LOG leaf CODE           logs itself and ends with CODE
//
// Every third child execs this program again, every third has a child of its own, the others just end.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_A_TIME 3

static int log_file;

static void fail(const char *what)
{
	perror(what);
	_exit(99);
}

// One write of one line at the end of the file: lines of different processes do not mix.
static void end(const char *did, int code)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%d %d %d %s\n", getpid(), getppid(), code, did);

	if (write(log_file, line, length) != length)
		fail("write");
	_exit(code);
}

static void reap(void)
{
	if (wait(NULL) < 0)
		fail("wait");
}

static void child(const char *log_path, int number)
{
	char code[16];

	switch (number % 3) {
	case 0:
		snprintf(code, sizeof(code), "%d", number % 97);
		execl("/proc/self/exe", "storm", log_path, "leaf", code, (char *)NULL);
		fail("exec");
		break;
	case 1:
		switch (fork()) {
		case -1:
			fail("fork");
			break;
		case 0:
			end("fork", number % 89);
		}
		reap();
		break;
	}
	end("fork", number % 83);
}

static void worker(const char *log_path, int children)
{
	for (int number = 0; number < children; number++) {
		if (number >= AT_A_TIME)
			reap();
		switch (fork()) {
		case -1:
			fail("fork");
			break;
		case 0:
			child(log_path, number);
		}
	}
	for (int left = children < AT_A_TIME ? children : AT_A_TIME; left > 0; left--)
		reap();
	end("fork", 5);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	log_file = open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (log_file < 0)
		fail("open");
	if (!strcmp(argv[2], "leaf"))
		end("exec", atoi(argv[3]));
	int workers = atoi(argv[2]);

	for (int number = 0; number < workers; number++) {
		switch (fork()) {
		case -1:
			fail("fork");
			break;
		case 0:
			worker(argv[1], atoi(argv[3]));
		}
	}
	for (int number = 0; number < workers; number++)
		reap();
	end("exec", 7);
}
