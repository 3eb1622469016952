#include "trees.h"

int elm(void)
{
	return 4;
}
