"""Takes the stub's socket to the collector (pidfd_getfd), says `End` in its name, and goes on: what follows must be seen."""
import ctypes
import os
import stat
import subprocess
import time

PIDFD_OPEN, PIDFD_GETFD = 434, 438
END = b"\x04\x00\x00\x00\x63End"

syscall = ctypes.CDLL(None, use_errno=True).syscall
stub = syscall(PIDFD_OPEN, os.getppid(), 0)
taken = 0
for number in range(3, 32):
    mine = syscall(PIDFD_GETFD, stub, number, 0)
    if mine >= 0 and stat.S_ISSOCK(os.fstat(mine).st_mode):
        taken += os.write(mine, END) == len(END)
print("took", taken)
# Longer than the collector takes to hear it, and than its linger time.
time.sleep(0.6)
subprocess.run(["/bin/echo", "after"], check=True)
