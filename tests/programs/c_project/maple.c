#include "trees.h"

int maple(void)
{
	return 8;
}
