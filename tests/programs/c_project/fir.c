#include "trees.h"

int fir(void)
{
	return 5;
}
