"""Disks of our own that can be small, read-only or lose their power. All of it needs root; nothing is skipped without it."""

import fcntl
import os
import shutil
import struct
import subprocess
import sys
import time

# ext4's "go down at once": what was not flushed is lost, as by a power cut.
EXT4_IOC_SHUTDOWN = 0x8004587D
ALONE = "NACRE_TORTURE_ALONE"
WITHOUT_FLUSH = struct.pack("I", 2)


class Unfit(Exception):
    """This machine cannot do what a test needs; the text says what to do about it."""


def need(program, package):
    """The program's path; installs it where that is possible."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found:
        return found
    install(package)
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise Unfit(f"{program} is missing; install {package}")
    return found


def install(package):
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unfit(f"install {package}, or run this as root on a machine with apt-get")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    if subprocess.run(command, **quiet).returncode:
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(command, **quiet)


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise Unfit(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()} (these tests need root)")


def alone(program, words):
    """Goes on in a mount namespace of its own: nobody else holds our disks, and none is left behind however this ends."""
    if os.environ.get(ALONE) or os.geteuid() != 0:
        return
    os.environ[ALONE] = "yes"
    unshare = need("unshare", "util-linux")
    os.execv(unshare, [unshare, "--mount", "--propagation", "private", sys.executable, program, *words])


class Mounted:
    """Something mounted at `at` while the `with` lasts."""

    def __init__(self, at):
        self.at = at
        os.makedirs(at, exist_ok=True)

    def __enter__(self):
        self.mount()
        return self

    def __exit__(self, *_):
        self.unmount()

    def unmount(self):
        """Waits for whoever still looks at it."""
        for _ in range(50):
            if subprocess.run(["umount", self.at], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        run("umount", self.at)

    def remount(self, how):
        run("mount", "-o", f"remount,{how}", self.at)

    def fill(self):
        """Writes until nothing more goes in; the ballast's path."""
        ballast = os.path.join(self.at, "ballast")
        with open(ballast, "wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
        return ballast


class Small(Mounted):
    """A disk in memory with so many megabytes."""

    def __init__(self, at, megabytes):
        super().__init__(at)
        self.megabytes = megabytes

    def mount(self):
        run("mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m", "nacre-torture", self.at)


class Fragile(Mounted):
    """A disk in a file whose power can be cut: what was not flushed is gone."""

    def __init__(self, at, image, megabytes=256):
        super().__init__(at)
        self.image = image
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        run(need("mkfs.ext4", "e2fsprogs"), "-q", "-F", image)

    def mount(self):
        run("mount", "-o", "loop", self.image, self.at)

    def cut(self):
        """From here on nothing reaches the disk and every write fails."""
        directory = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, WITHOUT_FLUSH)
        finally:
            os.close(directory)

    def power_on(self):
        """After the process has ended: a look at the disk as it is."""
        self.unmount()
        self.mount()
