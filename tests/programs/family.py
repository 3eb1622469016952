"""A tree that forks furiously until the file `end` is there. Each process leaves a line in `log`:
its id, its parent's at the fork, its exit code, when it was forked and when it was about to end (CLOCK_BOOTTIME, ns)."""
import os
import time

LOG = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def end(parent, forked, code):
    os.write(LOG, f"{os.getpid()} {parent} {code} {forked} {now()}\n".encode())
    os._exit(code)


def fork(job, code):
    parent, forked = os.getpid(), now()
    child = os.fork()
    if child == 0:
        job()
        end(parent, forked, code)
    return child


def nothing():
    pass


def orphan_a_grandchild():
    # The child ends at once: the grandchild loses its parent while it runs.
    fork(lambda: time.sleep(0.003), 9)


def work():
    turn = 0
    while not os.path.exists("end"):
        turn += 1
        os.waitpid(fork(orphan_a_grandchild if turn % 2 else nothing, turn % 7), 0)


workers = [fork(work, 20 + n) for n in range(3)]
open("ready", "w").close()
for worker in workers:
    os.waitpid(worker, 0)
# Orphans are not ours to wait for.
time.sleep(0.2)
