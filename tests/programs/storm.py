"""Forks so many processes that end at once, and so many that execute `true`; says how many of each the kernel made.

It waits for the file `go` before, and for the file `end` after, in its working directory, and forks for nothing else.
"""

import os
import sys
import time


def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)


def start(program):
    child = os.fork()
    if child == 0:
        if program:
            os.execv(program, ["true"])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


plain, executing = int(sys.argv[1]), int(sys.argv[2])
open("ready", "w").close()
wait_for("go")
forks = execs = 0
while forks < plain or execs < executing:
    if forks < plain:
        forks += start(None)
    if execs < executing:
        execs += start("/bin/true")
open("stormed", "w").close()
wait_for("end")
print(forks + execs, execs)
