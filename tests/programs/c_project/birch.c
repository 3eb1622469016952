#include "trees.h"

int birch(void)
{
	return 2;
}
