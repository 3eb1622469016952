#include "trees.h"

int pine(void)
{
	return 10;
}
