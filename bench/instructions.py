"""Counts what nacre executes for a call, by valgrind's callgrind: the same on a busy machine as on a quiet one.

Counted are the threads that serve connections. What runs beside them once a second (the doctor's round, metrics) would be counted
a hundred times too often for a call, because a server under callgrind takes a hundred times as long; it is in the CPU time that
bench/run.py measures besides.
"""
import os
import re
import shutil
import subprocess
import time

# The tokio workers, which are the first threads a server makes; the main thread only waits.
WORKERS = 2
CONNECTIONS = 4


def available():
    return shutil.which("valgrind") is not None and shutil.which("callgrind_control") is not None


def wrap(command, home):
    """The command that runs it under callgrind, and what it needs in its environment."""
    words = ["valgrind", "--quiet", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={home}/callgrind"]
    return [*words, *command], {"TOKIO_WORKER_THREADS": str(WORKERS)}


def control(server, *words):
    subprocess.run(["callgrind_control", *words, str(server.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)


def totals(folder):
    """Instructions by number of thread, of the newest dump. Its files are named callgrind.DUMP-THREAD."""
    dumps = {}
    for name in os.listdir(folder):
        if found := re.fullmatch(r"callgrind\.(\d+)-(\d+)", name):
            dumps.setdefault(int(found.group(1)), {})[int(found.group(2))] = os.path.join(folder, name)
    counted = {}
    for thread, path in dumps[max(dumps)].items():
        with open(path, encoding="utf-8", errors="replace") as file:
            counted[thread] = sum(int(line.split()[1]) for line in file if line.startswith("totals:"))
    return counted


def workers(server, do):
    """Runs `do` and returns the instructions of the workers in that time, and how long it took."""
    control(server, "--zero")
    begun = time.monotonic()
    do()
    span = time.monotonic() - begun
    control(server, "--dump")
    counted = totals(server.home)
    return sum(counted.get(thread, 0) for thread in range(2, 2 + WORKERS)), span


def a_call(server, bench, idle, calls):
    """Instructions of one call: what more calls take, so that setting up and cleaning up are in neither. `bench(count)` makes so
    many; `idle` is what the workers execute in a second with nothing to do."""
    few, many = (workers(server, lambda count=count: bench(count)) for count in (calls // 4, calls + calls // 4))
    return (many[0] - few[0] - idle * (many[1] - few[1])) / calls


def at_rest(server, seconds=4):
    """What the workers execute in a second with nothing to do."""
    counted, span = workers(server, lambda: time.sleep(seconds))
    return counted / span
