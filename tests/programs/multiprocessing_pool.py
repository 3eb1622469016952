"""Five worker processes by fork, some of which start programs; they end in every way a process can."""

import multiprocessing
import os
import signal
import subprocess


def work(number):
    if number % 2:
        subprocess.run(["expr", str(number), "+", "1"], stdout=subprocess.DEVNULL, check=True)
    if number == 2:
        raise SystemExit(3)
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 3:
        inner = multiprocessing.get_context("fork").Process(target=os._exit, args=(5,))
        inner.start()
        inner.join()


if __name__ == "__main__":
    workers = [multiprocessing.get_context("fork").Process(target=work, args=(number,)) for number in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # Another way to start: a fresh interpreter, and a tracker beside it.
    fresh = multiprocessing.get_context("spawn").Process(target=work, args=(1,))
    fresh.start()
    fresh.join()
