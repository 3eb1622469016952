#include "trees.h"

int cedar(void)
{
	return 3;
}
