#include "trees.h"

int larch(void)
{
	return 7;
}
