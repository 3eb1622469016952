#include "trees.h"

int apple(void)
{
	return 1;
}
