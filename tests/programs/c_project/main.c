#include <stdio.h>

#include "trees.h"

int main(void)
{
	printf("%d\n", apple() + birch() + cedar() + elm() + fir() + hazel() +
		       larch() + maple() + oak() + pine() + rowan());
	return 0;
}
