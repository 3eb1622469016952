/* Bytes that are no UTF-8, and control characters, wherever a program may put them. */
#include "odd.h"
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	char *arguments[] = { "z\xff", "\xc3(", "\x1b[31mred\n\t\x07", "\xed\xa0\x80", "fine ü", NULL };
	char *environment[] = { "OTEL_SERVICE_NAME=s\xff", "TRACEPARENT=\xff\xfe", "TRACESTATE=\x1b", "NO_EQUALS", "", NULL };
	pid_t child;
	(void)argv;

	if (argc > 1)
		return 0;
	MUST(mkdir("dir\xff\n", 0755));
	MUST(link("bytes", "dir\xff\n/prog\xfe\x1b"));
	MUST(chdir("dir\xff\n"));
	MUST(prctl(PR_SET_NAME, "c\xff\n"));
	child = MUST(fork());
	if (child == 0)
		MUST(execve("prog\xfe\x1b", arguments, environment));
	reap(child);
	return 0;
}
