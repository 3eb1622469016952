/* Eleven trees, so that make -j4 has more to do than it has jobs. */
int apple(void);
int birch(void);
int cedar(void);
int elm(void);
int fir(void);
int hazel(void);
int larch(void);
int maple(void);
int oak(void);
int pine(void);
int rowan(void);
