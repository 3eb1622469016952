#include "trees.h"

int oak(void)
{
	return 9;
}
