"""What the server must hold: every acknowledged write; of the writes whose outcome nobody knows either side.

A value is whatever a reader can see of a key, `None` when it is not there. Contents are unique, so a value names the write
that made it. A key of one writer is a `Cell`; a key that several writers change by compare-and-set is a `Chain`.

What is kept does not grow with the length of a run: a key's last value and its open ones, as many of its operations as are
ever compared, and of the steps of a chain since somebody looked not the contents but what tells them apart.
"""

import collections
import hashlib

# Operations of a config that are compared with its history at once: the size of the page that is asked for.
NEWEST = 100


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Cell:
    """One writer's key. Its writes follow one another, so at most the last ones can be open."""

    def __init__(self):
        self.value = None
        self.open = []       # values that writes of unknown outcome would have made, oldest first
        # Operations (I, U, D), oldest first: one more than a page has, so that a history that is too short is seen.
        self.history = collections.deque(maxlen=NEWEST + 1)

    def acknowledged(self, value):
        self._note(value)
        self.value = value

    def unknown(self, value):
        self.open.append(value)

    def _note(self, value):
        self.history.append("D" if value is None else "I" if self.value is None else "U")

    def settle(self, seen):
        """Compares with what a reader sees; the complaint, or None. What was seen must be seen ever after."""
        if seen != self.value and seen not in self.open:
            return f"holds {show(seen)}; acknowledged is {show(self.value)}" + self._or()
        if seen != self.value:
            self.acknowledged(seen)
        self.open = []
        return None

    def _or(self):
        return f", open are {', '.join(map(show, self.open))}" if self.open else ""


class Chain:
    """A key that many change by compare-and-set: every success names the value it replaced."""

    def __init__(self):
        self.value = None    # as `mark` names it, like all values here
        self.made = {}       # value -> (the value it replaced, acknowledged)
        self.length = 0      # steps settled

    def note(self, before, after, acknowledged):
        self.made[mark(after)] = (mark(before), acknowledged)

    def settle(self, seen):
        """The way back from what is seen to what was settled must use every acknowledged step, and each once."""
        seen = mark(seen)
        at, used = seen, set()
        while at != self.value:
            if at not in self.made or at in used:
                return f"holds {show(seen)}, which does not descend from {show(self.value)}"
            used.add(at)
            at = self.made[at][0]
        skipped = [value for value, (_, done) in self.made.items() if done and value not in used]
        if skipped:
            return f"holds {show(seen)}, which lacks the acknowledged {', '.join(map(show, skipped[:3]))}"
        self.value, self.made = seen, {}
        self.length += len(used)
        return None


def mark(value):
    """A long value by its beginning, which names its write, and its sum."""
    return value if value is None or len(value) <= 64 else f"{value[:24]}… ({len(value)} characters, md5 {md5(value)})"


def show(value):
    text = repr(value)
    return text if len(text) <= 70 else f"{text[:40]}… ({len(text)} characters, md5 {md5(str(value))})"


class Books:
    """All keys: (kind, name) -> Cell or Chain. Each writer adds its own; nobody reads while writers run."""

    def __init__(self):
        self.cells = {}

    def settle(self, seen):
        """`seen` holds every key that is there. All complaints, each with its key."""
        complaints = []
        for key, cell in self.cells.items():
            complaint = cell.settle(seen.get(key))
            if complaint:
                complaints.append(f"{' '.join(key)}: {complaint}")
        for key in seen.keys() - self.cells.keys():
            complaints.append(f"{' '.join(key)}: is there and nobody wrote it")
        return complaints

    def kind(self, kind):
        return [name for (one, name) in self.cells if one == kind]
