"""One SDK process: commands in, replies and events out, one JSON object per line."""

import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

from .server import HOST

HELLO_WITHIN = 60
REPLY_WITHIN = 30
# What an SDK may take to bring a change to its listener. Every wait ends as soon as its predicate holds.
SEEN_WITHIN = 20


class DriverError(Exception):
    """The SDK reported an error, or its process did not answer."""


class Driver:
    def __init__(self, client, home, server, namespace="", username="", password="", main_port_only=False,
                 port=None):
        os.makedirs(home, exist_ok=True)
        self.home = home
        self.ordered = client.ordered
        self.ops = ()
        self._changed = threading.Condition()
        self._replies = {}
        self._events = {}
        self._seen = {}
        self._next = 0
        self._ended = False
        # Another port than the server's is that of a relay in front of it.
        target = {"host": HOST, "port": port or server.port, "grpcPort": server.port + (0 if main_port_only else 1000),
                  "namespace": namespace, "username": username, "password": password}
        self._errors = open(os.path.join(home, "stderr.log"), "ab")
        self.process = subprocess.Popen(
            [part.replace("{home}", home) for part in client.command()] + [json.dumps(target)],
            cwd=home, env=dict(client.env(), HOME=home), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()

    def complaints(self, most=12):
        """The last warnings and errors that the process wrote, into whichever file."""
        lines = []
        for path in sorted(pathlib.Path(self.home).rglob("*.log")):
            said = path.read_text(errors="replace").splitlines()
            lines += [f"{path.name}: {line[:300]}" for line in said if re.search(r"\b(WARN|ERROR)\b", line)][-most:]
        return lines

    def ready(self):
        """Waits until the SDK's client objects are there."""
        self._until(lambda: self.ops or self._ended, HELLO_WITHIN)
        if not self.ops:
            raise DriverError(f"the client objects were not created; see {self._errors.name}")
        return self

    def _read(self):
        for line in self.process.stdout:
            try:
                message = json.loads(line)
                kind = message.get("event", "reply")
            except (ValueError, AttributeError):
                self._errors.write(line)  # an SDK that talks on standard output
                continue
            with self._changed:
                if kind == "hello":
                    self.ops = tuple(message["ops"])
                elif kind == "reply":
                    self._replies[message["id"]] = message
                else:
                    message["at"] = time.monotonic()
                    self._events.setdefault(message["tag"], []).append(message)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def call(self, op, within=REPLY_WITHIN, **args):
        self._next += 1
        number = self._next
        try:
            self.process.stdin.write((json.dumps(dict(args, id=number, op=op)) + "\n").encode())
            self.process.stdin.flush()
        except OSError as gone:
            raise DriverError(f"{op}: the process is gone ({gone}); see {self._errors.name}")
        self._until(lambda: number in self._replies or self._ended, within)
        reply = self._replies.pop(number, None)
        if reply is None:
            raise DriverError(f"{op}: no answer within {within} s; see {self._errors.name}")
        if not reply["ok"]:
            raise DriverError(f"{op}: {reply['error']}")
        return reply["value"]

    def last(self, tag, holds, what, within=SEEN_WITHIN):
        """Waits until the newest event of a subscription satisfies the predicate: extra identical events are normal."""
        seen = self._seen.get(tag, 0)

        def satisfied():
            events = self._events.get(tag, [])
            # An SDK that hands events over in any order is satisfied by each that came since the last wait.
            return any(map(holds, events[-1:] if self.ordered else events[max(0, seen - 1):]))

        self._until(satisfied, within)
        events = self._events.get(tag, [])
        if not satisfied():
            raise AssertionError(f"{what}: not seen within {within} s; newest event {shown(events[-1:])}")
        self._seen[tag] = len(events)

    def some(self, tag, holds, what, within=SEEN_WITHIN):
        """Waits for any event that satisfies the predicate, for events that tell of a change and not of a state."""
        self._until(lambda: any(map(holds, self._events.get(tag, ()))), within)
        if not any(map(holds, self._events.get(tag, ()))):
            raise AssertionError(f"{what}: not seen within {within} s; events {shown(self._events.get(tag))}")

    def _until(self, holds, within):
        deadline = time.monotonic() + within
        with self._changed:
            while not holds():
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    return
                self._changed.wait(left)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """With the helpers that some SDKs start: they would outlive a process that is killed."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._errors.close()

    def leave(self):
        """The SDK's own shutdown, then the end of the process."""
        self.call("shutdown")
        self.process.wait(REPLY_WITHIN)


def shown(value):
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 600 else text[:600] + "..."
