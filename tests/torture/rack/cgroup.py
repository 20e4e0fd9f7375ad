"""Control groups of our own, of version 1 or 2. Needs root; nothing is skipped without it."""

import itertools
import os
import time

from .disk import Unfit

ROOT = "/sys/fs/cgroup"
NUMBERS = itertools.count()


class Group:
    """One group of one controller (`cpu` or `memory`). `enter` is for `preexec`: the process is in it from the start."""

    def __init__(self, controller):
        older = os.path.join(ROOT, controller)
        self.v2 = not os.path.exists(os.path.join(older, "cgroup.procs"))
        try:
            if self.v2:
                write(os.path.join(ROOT, "cgroup.subtree_control"), f"+{controller}")
            self.at = os.path.join(ROOT if self.v2 else older, f"nacre-{os.getpid()}-{next(NUMBERS)}")
            os.mkdir(self.at)
        except OSError as error:
            raise Unfit(f"no control group for {controller}: {error} (these tests need root)") from error

    def enter(self):
        write(os.path.join(self.at, "cgroup.procs"), "0")

    def quota(self, share):
        """So much of one processor."""
        period = 100_000
        if self.v2:
            write(os.path.join(self.at, "cpu.max"), f"{int(share * period)} {period}" if share else "max")
        else:
            write(os.path.join(self.at, "cpu.cfs_quota_us"), str(int(share * period) if share else -1))

    def memory(self, limit):
        write(os.path.join(self.at, "memory.max" if self.v2 else "memory.limit_in_bytes"), str(limit))

    def remove(self):
        """Once nobody is in it any more."""
        for _ in range(50):
            try:
                return os.rmdir(self.at)
            except OSError:
                time.sleep(0.1)
        return os.rmdir(self.at)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
