"""The disk under the server: full, read-only, gone, slow, damaged."""

import glob
import os
import sqlite3
import time

from rack import disk
from stand import case


def publish(stand, name, content="x"):
    return stand.nacos("POST", "/v1/cs/configs", dataId=name, group="G", content=content)


def start_on(stand, at, *settings):
    """A server whose home is on a disk of its own."""
    stand.home = at
    return stand.start(*settings)


def disk_of(stand, made):
    made.mount()
    stand.at_end(made.unmount)
    # Before the disk goes, whoever holds it must.
    stand.at_end(lambda: stand.server and stand.server.kill())
    return made


@case("DISK-FULL", "D01", what="a disk in memory that is filled up")
def a_full_disk(stand):
    small = disk_of(stand, disk.Small(os.path.join(stand.home, "disk"), 48))
    start_on(stand, small.at)
    assert publish(stand, "first")[0] == 200
    ballast = small.fill()
    for number in range(400):
        if publish(stand, f"big-{number}", "x" * 300_000)[0] != 200:
            break
    stand.visible()
    stand.finding(mentions=["are free", "df -h"])
    stand.alone()
    os.remove(ballast)
    stand.clears()
    stand.finding("WRITES-RECOVERED")


@case("DISK-SPACE-LOW", "D01", what="a disk that is nearly full")
def a_disk_that_is_nearly_full(stand):
    small = disk_of(stand, disk.Small(os.path.join(stand.home, "disk"), 128))
    start_on(stand, small.at)
    stand.none()
    with open(os.path.join(small.at, "other"), "wb") as file:
        room = os.statvfs(small.at)
        file.write(bytes(room.f_bavail * room.f_frsize - (20 << 20)))
    stand.visible()
    stand.finding(mentions=["MiB"])
    stand.alone()
    os.remove(os.path.join(small.at, "other"))
    stand.clears()


@case("DISK-FAILED", "D01", what="a disk whose power is cut while the server runs")
def a_disk_that_fails(stand):
    fragile = disk_of(stand, disk.Fragile(os.path.join(stand.home, "disk"), os.path.join(stand.home, "image"), 96))
    start_on(stand, fragile.at)
    assert publish(stand, "first")[0] == 200
    fragile.cut()
    publish(stand, "lost")
    stand.visible()
    stand.finding(mentions=["restart nacre"])
    stand.alone()


@case("DISK-READ-ONLY", "D01", what="a disk that is remounted read-only while the server runs")
def a_disk_that_turns_read_only(stand):
    fragile = disk_of(stand, disk.Fragile(os.path.join(stand.home, "disk"), os.path.join(stand.home, "image"), 96))
    start_on(stand, fragile.at)
    assert publish(stand, "first")[0] == 200
    # As the kernel does it after an error: the file system gives up its journal and takes no more writes.
    disk.run("mount", "-o", "remount,abort", fragile.at)
    publish(stand, "later")
    stand.visible()
    stand.finding(mentions=["read-only"])
    stand.alone()


@case("DISK-SLOW", "D01", what="an fsync that takes 400 ms")
def a_slow_disk(stand):
    strace = disk.need("strace", "strace")
    stand.start(wrapper=[strace, "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fdatasync,fsync",
                         "-e", "inject=fdatasync,fsync:delay_exit=400000"])
    for number in range(4):
        assert publish(stand, f"c{number}")[0] == 200
    stand.visible()
    stand.finding(mentions=["ms"])
    stand.alone(besides=["SERVER-STALLED"])  # whoever attaches to a process stops it for a moment
    stand.clears()


def locked(stand):
    """Starts a server and takes its database's write lock: the connection that holds it."""
    stand.start()
    assert publish(stand, "first")[0] == 200
    path = glob.glob(f"{stand.home}/**/nacos.db", recursive=True)[0]
    other = sqlite3.connect(path, isolation_level=None, timeout=20)
    stand.at_end(other.close)
    other.execute("BEGIN IMMEDIATE")
    return other


@case("DATABASE-REFUSES-WRITES", "D10", what="another process that holds the database's write lock")
def a_locked_database(stand):
    other = locked(stand)
    end = time.monotonic() + 20
    while time.monotonic() < end and publish(stand, "locked")[0] == 200:
        time.sleep(0.2)
    stand.visible()
    stand.finding(mentions=["lock"])
    stand.alone()
    other.execute("ROLLBACK")
    stand.clears()


@case("LOG-TAIL-CUT", "D01", what="half a record at the log's end at the start")
def a_torn_log(stand):
    server = stand.start()
    assert publish(stand, "first")[0] == 200
    server.kill()
    segments = sorted(path for path in glob.glob(f"{stand.home}/nacre/data/log/*.log"))
    assert segments, os.listdir(f"{stand.home}/nacre/data")
    tear(segments[-1])
    stand.start()
    stand.visible()
    found = stand.finding(mentions=["cut"])
    assert found["severity"] == "info"
    stand.alone(besides=["CLIENT-GONE-WITHOUT-DEREGISTERING"])
    stand.clears()


def tear(path):
    """Writes the beginning of a record, of garbage, behind the last one: zeros follow it in a reserved file."""
    with open(path, "r+b") as file:
        content = file.read()
        end = len(content.rstrip(b"\0"))
        file.seek(end + (-end % 8))
        file.write(b"\x40\x00\x00\x00garbage-of-a-torn-write")


@case("JOURNAL-NOT-ON-DISK", "D01", what="a directory of the journal that cannot be written")
def a_journal_without_a_disk(stand):
    os.makedirs(f"{stand.home}/nacre/data")
    with open(f"{stand.home}/nacre/data/journal", "w") as file:
        file.write("not a directory")
    stand.start()
    stand.visible()
    stand.finding(mentions=["journal"])
    stand.alone()


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


@case("JOURNAL-DAMAGED", "D01", what="a byte that turned in a file of the journal while the server was stopped")
def a_damaged_journal(stand):
    stand.start()
    for number in range(50):
        assert stand.register("journalled", "10.0.0.1", 7000 + number)[0] == 200
    events = len(stand.server.events())
    stand.server.stop()
    path = sorted(glob.glob(f"{stand.home}/nacre/data/journal/*.seg"))[-1]
    flip(path, os.path.getsize(path) // 2)
    stand.start()
    stand.visible()
    stand.finding(mentions=[os.path.basename(path), "bytes"])
    stand.alone()
    # It runs, journals, and what is whole can be read.
    assert publish(stand, "after")[0] == 200
    assert events > 50 and stand.server.wait_event("configPublished")


@case("LOG-PART-GIVEN-UP", "D01", what="a byte that turned in the middle of the log, and a start with accept-loss")
def a_log_that_was_given_up(stand):
    server = stand.start()
    for number in range(30):
        assert publish(stand, f"c{number}", "x" * 1_000)[0] == 200
    server.kill()
    segment = sorted(glob.glob(f"{stand.home}/nacre/data/log/*.log"))[-1]
    with open(segment, "rb") as file:
        end = len(file.read().rstrip(b"\0"))
    flip(segment, end // 2)
    stand.start("nacre.log.recovery=accept-loss")
    stand.visible()
    stand.finding(mentions=["accept-loss"])
    stand.alone()


@case("WRITES-RECOVERED", "D10", what="a database that was locked, and is free again")
def writes_that_work_again(stand):
    other = locked(stand)
    end = time.monotonic() + 30
    while not stand.findings(code="DATABASE-REFUSES-WRITES"):
        assert time.monotonic() < end, "nobody noticed the lock"
        publish(stand, "locked")
        time.sleep(0.2)
    stand.none(for_seconds=1)
    other.execute("ROLLBACK")
    stand.visible()
    found = stand.finding()
    assert found["severity"] == "info"
    stand.clears()
