"""Damage to the files of a server that was killed, and what a start may do with it.

It may refuse, naming the file and what to do; or serve everything that was acknowledged, with every row of the database as
it was. Serving less, or anything else, is a silent loss.
"""

import contextlib
import copy
import os
import pathlib
import re
import shutil
import sqlite3

from . import survey
from .process import Ended, Server

# What a refusal must tell besides the file: something to do.
ADVICE = ("backup", "restore", "move it away", "delete", "start the version")
TABLES_OF_POSITION = {"nacre_meta"}
# What a health check found is no write of a user, and is found again.
HEALTH = re.compile(rb'"healthy":(true|false)')


class Damage:
    """What was done to which file, in words."""

    def __init__(self, kind, path, words):
        self.kind, self.path, self.words = kind, path, words

    def __str__(self):
        return f"{self.kind}: {self.words}"


def used(path):
    return os.path.exists(path) and os.path.getsize(path) > 0


def segments(data):
    return sorted(pathlib.Path(data, "log").glob("*.log"))


def flip(path, random, low=0, high=None):
    """Flips one bit of a file."""
    at = random.randrange(low, high or os.path.getsize(path))
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << random.randrange(8)]))
    return at


def flip_in(name):
    def apply(data, random):
        path = os.path.join(data, name)
        if not used(path):
            return None
        at = flip(path, random)
        return Damage(f"flipped byte in {os.path.basename(name)}", path, f"byte {at} of {name}")
    return apply


def flip_in_segment(data, random):
    path = random.choice(segments(data))
    at = flip(path, random)
    return Damage("flipped byte in log", str(path), f"byte {at} of {path.name}")


def garbage_at_end(data, random):
    """What a torn write leaves: half a record, or what the disk held before."""
    path = segments(data)[-1]
    kind = random.randrange(3)
    tail = bytearray(random.randbytes(random.randrange(1, 5000)))
    if kind == 0:
        tail = bytearray(len(tail))
    elif kind == 1:
        whole = path.read_bytes()
        tail = whole[-min(len(whole) // 2, 3000):-random.randrange(1, 40)]
    with open(path, "ab") as file:
        file.write(tail)
    return Damage("torn tail", str(path), f"{len(tail)} bytes behind the end of {path.name}")


def truncated(data, random):
    """May hit writes that were acknowledged: then the start must be refused."""
    path = segments(data)[-1]
    size = path.stat().st_size
    cut = min(size, random.choice([1, 7, 64, random.randrange(1, 5000), size]))
    os.truncate(path, size - cut)
    return Damage("truncated log", str(path), f"{cut} bytes cut from the end of {path.name}")


def truncated_database(data, random):
    path = os.path.join(data, "nacos.db")
    size = os.path.getsize(path)
    os.truncate(path, size - min(size, random.choice([1, 100, 4096, 4096 * random.randrange(1, 20)])))
    return Damage("truncated database", path, f"{size} bytes are {os.path.getsize(path)}")


def removed(name):
    def apply(data, random):
        path = os.path.join(data, name) if name else str(random.choice(segments(data)))
        if not used(path):
            return None
        os.remove(path)
        return Damage(f"missing {name or 'log file'}", path, path)
    return apply


def zeroed_block(name):
    """A sector that came back empty."""
    def apply(data, random):
        path = os.path.join(data, name) if name else str(random.choice(segments(data)))
        if not used(path):
            return None
        at = random.randrange(0, os.path.getsize(path), 512)
        with open(path, "r+b") as file:
            file.seek(at)
            if not any(file.read(512)):
                return None
            file.seek(at)
            file.write(bytes(min(512, os.path.getsize(path) - at)))
        return Damage(f"zeroed sector in {name or 'log'}", path, f"bytes {at} to {at + 511} of {path}")
    return apply


WAYS = {
    "torn": garbage_at_end,
    "truncated": truncated,
    "log": flip_in_segment,
    "log-zero": zeroed_block(""),
    "log-missing": removed(""),
    "meta": flip_in("log/meta"),
    "meta-missing": removed("log/meta"),
    "watermark": flip_in("log/watermark"),
    "watermark-missing": removed("log/watermark"),
    "db": flip_in("nacos.db"),
    "db-zero": zeroed_block("nacos.db"),
    "db-truncated": truncated_database,
    "db-missing": removed("nacos.db"),
    "wal": flip_in("nacos.db-wal"),
    "wal-missing": removed("nacos.db-wal"),
    "shm": flip_in("nacos.db-shm"),
    "sums": flip_in("nacos.db-sums"),
}
LOG_WAYS = {"torn", "truncated", "log", "log-zero"}


def rows(data):
    """Every row of the database, as SQL sees it; the position of the log apart."""
    with contextlib.closing(sqlite3.connect(os.path.join(data, "nacos.db"))) as connection:
        connection.text_factory = bytes
        tables = [name.decode() for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")]
        return {table: sorted(repr(tuple(map(steady, row))) for row in connection.execute(f"SELECT * FROM {table}"))
                for table in tables if table not in TABLES_OF_POSITION}


def steady(column):
    return HEALTH.sub(b"", column) if isinstance(column, bytes) else column


class Trial:
    """Damages copies of one killed home and starts a server on each."""

    def __init__(self, binary, home, books, scratch, settings=()):
        self.binary, self.books, self.settings = binary, books, settings
        self.killed, self.scratch = home, scratch
        self.whole = None

    def _copy(self):
        home = os.path.join(self.scratch, "damaged")
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.killed, home)
        return home

    def _start(self, home):
        """What is served: complaints of the model and the rows of the database. A refusal is an `Ended`."""
        server = Server(self.binary, home, self.settings)
        try:
            server.wait_ready()
            books = copy.deepcopy(self.books)
            complaints = survey.verify(server.port, books)
            cuts = len(server.events(kind="logTailCut"))
        finally:
            server.kill()
        return complaints, rows(os.path.join(home, "data")), cuts

    def reference(self):
        """What the undamaged files serve."""
        complaints, self.whole, _ = self._start(self._copy())
        return complaints

    def run(self, way, random):
        """(damage, what the start did, complaint or None); None when there was nothing to damage."""
        home = self._copy()
        damage = WAYS[way](os.path.join(home, "data"), random)
        if damage is None:
            return None
        try:
            complaints, held, cuts = self._start(home)
        except Ended as refusal:
            return damage, "refused", self._judge(damage, refusal)
        except (OSError, AssertionError) as error:
            return damage, "served", f"{damage}: {type(error).__name__} {error}"
        if complaints:
            return damage, "served less", f"{damage}: served less in silence: {'; '.join(complaints[:3])}"
        # A write at the log's end that nobody was answered for may be cut; the model knows which were answered.
        if way not in LOG_WAYS and held != self.whole:
            return damage, "served less", f"{damage}: {difference(self.whole, held)}"
        if way == "torn" and not cuts:
            return damage, "whole", f"{damage}: the cut is not in the journal"
        return damage, "whole", None

    @staticmethod
    def _judge(damage, refusal):
        text = refusal.text
        if refusal.code != 1:
            return f"{damage}: the start ended with {refusal.code}: {text[-300:]}"
        # The database is one thing to an operator, whichever of its files is broken; so is the log.
        names = [damage.path, damage.path.removesuffix("-wal")]
        if damage.kind.startswith("missing"):
            names.append(os.path.dirname(damage.path))
        if not any(name in text for name in names):
            return f"{damage}: the refusal does not name the file: {text[-300:]}"
        if not any(word in text.lower() for word in ADVICE):
            return f"{damage}: the refusal does not say what to do: {text[-300:]}"
        return None


def difference(whole, held):
    for table, expected in whole.items():
        there = held.get(table, [])
        if there != expected:
            lost = set(expected) - set(there)
            return (f"table {table} has {len(there)} rows, written were {len(expected)}; "
                    f"different: {str(sorted(lost)[:1])[:200]}")
    return "tables differ"
