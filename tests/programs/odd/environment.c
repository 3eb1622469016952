/* TRACEPARENT behind 2,000 other variables, and behind 4,000, which is past the end of the search. */
#include "odd.h"

#define MOST 4000

int main(int argc, char **argv)
{
	static char *variables[MOST + 2], text[MOST][32];
	int counts[] = { 2000, MOST };
	(void)argv;

	if (argc > 1)
		return 0;
	for (int i = 0; i < MOST; i++)
		snprintf(text[i], sizeof(text[i]), "VARIABLE_%d=x", i);
	for (int i = 0; i < 2; i++) {
		char *arguments[] = { "environment", i == 0 ? "2000" : "4000", NULL };
		pid_t child;

		for (int j = 0; j < counts[i]; j++)
			variables[j] = text[j];
		variables[counts[i]] = "TRACEPARENT=00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
		variables[counts[i] + 1] = NULL;
		child = MUST(fork());
		if (child == 0)
			MUST(execve("/proc/self/exe", arguments, variables));
		reap(child);
	}
	return 0;
}
