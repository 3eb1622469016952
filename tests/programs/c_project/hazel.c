#include "trees.h"

int hazel(void)
{
	return 6;
}
