#include "trees.h"

int rowan(void)
{
	return 11;
}
