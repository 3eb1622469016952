/* Ends: by a signal with a core, by one without, stopped and continued, between fork and exec, after a failed exec. */
#include "odd.h"

static void fail_to_exec(const char *path, int expected)
{
	pid_t child = MUST(fork());

	if (child == 0) {
		execl(path, path, NULL);
		_exit(errno == expected ? 50 : 97);
	}
	reap(child);
}

int main(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	pid_t child = MUST(fork());
	int status, busy;

	if (child == 0) {
		MUST(setrlimit(RLIMIT_CORE, &unlimited));
		raise(SIGSEGV);
	}
	reap(child);
	child = MUST(fork());
	if (child == 0) {
		raise(SIGSTOP);
		_exit(4);
	}
	MUST(waitpid(child, &status, WUNTRACED));
	MUST(kill(child, SIGCONT));
	reap(child);
	/* Killed between fork and exec. */
	child = MUST(fork());
	if (child == 0) {
		for (;;)
			pause();
	}
	MUST(kill(child, SIGKILL));
	reap(child);
	/* A real-time signal has no name of its own. */
	child = MUST(fork());
	if (child == 0)
		for (;;)
			pause();
	MUST(kill(child, SIGRTMIN + 5));
	reap(child);

	close(MUST(open("no_format", O_CREAT | O_WRONLY, 0755)));
	fail_to_exec("./no_format", ENOEXEC);
	busy = MUST(open("busy", O_CREAT | O_WRONLY, 0755));
	fail_to_exec("./busy", ETXTBSY);
	close(busy);
	close(MUST(open("no_right", O_CREAT | O_WRONLY, 0644)));
	fail_to_exec("./no_right", EACCES);
	fail_to_exec("./nowhere", ENOENT);
	return 0;
}
