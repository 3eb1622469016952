/* 499 processes that end at once and 211 that exec first, 16 at a time. */
#include "odd.h"

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 2;
	for (int i = 0, living = 0; i < 499 + 211 || living > 0;) {
		if (i < 499 + 211 && living < 16) {
			if (MUST(fork()) == 0) {
				if (i >= 499)
					execl("/proc/self/exe", "short_lives", "exec", NULL);
				_exit(1);
			}
			i++;
			living++;
		} else {
			MUST(wait(NULL));
			living--;
		}
	}
	return 0;
}
