/* Says who it is. Installed as a set-user-id program of root's. */
#include "odd.h"

int main(void)
{
	printf("%d %d\n", getuid(), geteuid());
	return 0;
}
