"""The torture: kill -9 and power cuts at random moments under load, damage in between, and nothing acknowledged may be
missing."""

import collections
import os
import random
import shutil
import time

from . import survey
from .call import Outcome
from .damage import WAYS, Trial
from .load import Crew
from .model import Books
from .process import Ended, Server

# Empty services must outlive the run; small checkpoints put kills into checkpoints and purges.
CALM = "nacos.naming.clean.empty-service.expired-time=1000000000"
CHECKPOINTS = (100, 100, 150, 1000, 200_000)
LONGEST_LOAD = 0.6     # seconds
DEATHS_AT_START = 0.15
DEATHS_AT_STOP = 0.1


class Torture:
    """`fragile` is a disk that loses its power at the end of each cycle, instead of the process alone."""

    def __init__(self, binary, cycles, seed, directory, damage_every=10, damages=3, ways=(), fragile=None, limit=None, say=print):
        self.binary, self.cycles, self.seed, self.say = binary, cycles, seed, say
        self.damage_every, self.damages = damage_every, damages
        self.fragile, self.limit = fragile, limit
        self.directory, self.home = directory, os.path.join(fragile.at if fragile else directory, "home")
        self.random = random.Random(f"{seed}/torture")
        self.books = Books()
        self.crew = Crew(self.books, seed)
        self.complaints = []
        self.kills = collections.Counter()
        self.tried = collections.defaultdict(collections.Counter)
        self.wanted, self.ways = list(ways) or list(WAYS), []

    def run(self):
        """Everything; the result as plain data."""
        os.makedirs(self.home)
        if self.fragile:
            os.sync()  # the directory itself is nobody's acknowledged write
        begun = time.monotonic()
        for cycle in range(1, self.cycles + 1):
            self.cycle()
            if self.damage_every and cycle % self.damage_every == 0:
                self.damage()
            if cycle % 50 == 0:
                self.say(f"  {cycle} cycles, {self.crew.count(Outcome.DONE)} writes acknowledged, "
                         f"{len(self.complaints)} complaints, {time.monotonic() - begun:.0f} s")
            if self.limit and time.monotonic() - begun > self.limit:
                self.say(f"  {self.limit:.0f} s are over")
                break
            if len(self.complaints) > 20:
                self.say("  too many complaints; the rest is left out")
                break
        self.after()
        return {
            "seed": self.seed, "cycles": cycle, "kills": dict(self.kills), "seconds": round(time.monotonic() - begun, 1),
            "acknowledged": self.crew.count(Outcome.DONE), "unknown": self.crew.count(Outcome.UNKNOWN),
            "casRefused": self.crew.count(Outcome.REFUSED), "lost": len(self.complaints),
            "damage": {kind: dict(done) for kind, done in sorted(self.tried.items())},
            "complaints": self.complaints,
        }

    def settings(self):
        return [CALM, f"nacre.log.checkpoint-entries={self.random.choice(CHECKPOINTS)}"]

    def complain(self, complaints):
        for complaint in complaints:
            self.say(f"  ! {complaint}")
        self.complaints += complaints

    def cycle(self):
        """Start, look, load, kill."""
        server = Server(self.binary, self.home, self.settings())
        try:
            if self.random.random() < DEATHS_AT_START:
                time.sleep(self.random.random() * 0.3)
                if self.fragile:
                    server.signal("STOP")
                    self.fragile.cut()
                self.kills["at start"] += 1
                return
            server.wait_ready()
            histories = self.random.sample(self.books.kind("config"), 4)
            self.complain(survey.verify(server.port, self.books, histories))
            self.crew.begin(server.port)
            # The clock decides when to kill, not a count: a random moment is what this is about.
            time.sleep(self.random.random() * LONGEST_LOAD)
            if self.fragile:
                # A power cut stops everything at once: nothing is acknowledged between the disk's end and the process's.
                server.signal("STOP")
                self.fragile.cut()
                self.kills["power cut"] += 1
            elif self.random.random() < DEATHS_AT_STOP:
                server.signal("TERM")
                time.sleep(self.random.random() * 0.1)
                self.kills["at stop"] += 1
            else:
                self.kills["under load"] += 1
        except Ended as refusal:
            self.complain([f"the start was refused: {refusal.text[-400:]}"])
        finally:
            server.kill()
            self.complain(self.crew.end())
            if self.fragile:
                self.fragile.power_on()

    def damage(self):
        """Some of the ways, in turn, each on a copy of what the kill left."""
        scratch = os.path.join(self.directory, "scratch")
        os.makedirs(scratch, exist_ok=True)
        trial = Trial(self.binary, self.home, self.books, scratch, [CALM])
        complaints = trial.reference()
        self.complain(complaints)
        if complaints:
            return
        for _ in range(self.damages):
            if not self.ways:
                self.ways = list(self.wanted)
                self.random.shuffle(self.ways)
            way = self.ways.pop()
            tried = trial.run(way, self.random)
            if tried is None:
                continue
            damage, did, complaint = tried
            self.tried[damage.kind][did] += 1
            self.complain([complaint] if complaint else [])
        shutil.rmtree(scratch)

    def after(self):
        """What was found once is found after an orderly stop too."""
        for _ in range(2):
            server = Server(self.binary, self.home, [CALM])
            try:
                server.wait_ready()
                self.complain(survey.verify(server.port, self.books))
                server.stop()
            except Ended as refusal:
                self.complain([f"the last start was refused: {refusal.text[-400:]}"])
            finally:
                server.kill()
