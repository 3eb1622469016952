/* A 32-bit program without a C library: it forks by the 32-bit fork and exits with 7, its child with 5. */
static int call(int number, int first, void *second)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(0), "S"(0) : "memory");
	return result;
}

void _start(void)
{
	int child = call(2 /* fork */, 0, 0), status;

	if (child == 0)
		call(1 /* exit */, 5, 0);
	call(114 /* wait4 */, child, &status);
	call(252 /* exit_group */, 7, 0);
}
