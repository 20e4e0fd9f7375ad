"""The server as a process: started, stopped, killed, paused, measured and asked what it wrote into its journal."""

import os
import re
import signal
import subprocess
import tempfile
import threading
import time

from . import call

# Far longer than anything takes; what waits this long has failed.
LONG = 60


class Ended(Exception):
    """The server ended before it served; `text` is what it said."""

    def __init__(self, code, text):
        super().__init__(f"the server ended with {code}: {text}")
        self.code, self.text = code, text


class Server:
    """One nacre process. `wrapper` is what runs it (strace, faketime, unshare …); `settings` are -D properties; `stderr`
    is a file or pipe of the caller's, of which `said` knows nothing."""

    def __init__(self, binary, home, settings=(), port=0, wrapper=(), env=None, preexec=None, stderr=None):
        self.home, self.port = home, None
        self._again = lambda: Server(binary, home, settings, self.port, wrapper, env, preexec, stderr)
        words = [*wrapper, binary, "server", "--home", home, "-D", f"server.port={port}"]
        for setting in settings:
            words += ["-D", setting]
        self._said = tempfile.TemporaryFile()
        # Without its proxies and settings: the environment of whoever runs this must not matter.
        self.child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=self._said if stderr is None else stderr,
                                      env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **(env or {})},
                                      preexec_fn=preexec)

    def wait_ready(self):
        """Until it greets; answers itself. A server that ends instead is an `Ended`."""
        for line in self.child.stdout:
            found = re.search(rb"http://[^:]+:(\d+)/", line)
            if found:
                self.port = int(found.group(1))
                # The rest of the greeting must not fill the pipe.
                threading.Thread(target=self.child.stdout.read, daemon=True).start()
                return self
        raise Ended(self.child.wait(LONG), self.said())

    def said(self):
        """Its standard error so far."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def complaints(self):
        """Lines of its log that are warnings or errors."""
        return [line for line in self.said().splitlines() if re.search(r"\b(WARN|ERROR)\b|panicked", line)]

    @property
    def pid(self):
        """The server itself, also below a wrapper."""
        return _named("nacre", self.child.pid) or self.child.pid

    def signal(self, name):
        os.kill(self.pid, getattr(signal, f"SIG{name}"))

    def kill(self):
        """kill -9; returns when nothing of it is left."""
        if self.child.poll() is None:
            try:
                self.signal("KILL")
            except ProcessLookupError:
                pass
        self._reap()

    def stop(self):
        """SIGTERM, as an operator does it; its exit code."""
        self.signal("TERM")
        return self._reap()

    def _reap(self):
        try:
            return self.child.wait(LONG)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise

    def again(self):
        """After it ended: another one on the same home and ports."""
        return self._again()

    def alive(self):
        return self.child.poll() is None

    # -- what it says

    def get(self, path, **query):
        return call.once(self.port, "GET", path, query)

    def events(self, **query):
        """Events that fit, newest first."""
        answer = self.get("/v3/admin/diagnosis/events", limit=1000, **query)
        return answer.json()["data"]["events"]

    def wait_event(self, kind, holds=lambda event: True, within=LONG):
        """The first event of a kind that fits; waits for it."""
        found = eventually(lambda: [event for event in self.events(kind=kind) if holds(event)], within)
        if not found:
            raise AssertionError(f"no event {kind} in the journal within {within} s")
        return found[-1]

    # -- what it uses

    def memory(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/statm") as pages:
            return int(pages.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def cpu(self):
        """Seconds of a core that it has used."""
        with open(f"/proc/{self.pid}/stat") as stat:
            user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))


def _named(name, pid):
    """The process of this name: this one or the nearest below it."""
    try:
        with open(f"/proc/{pid}/comm") as comm:
            if comm.read().strip() == name:
                return pid
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            below = [int(child) for child in children.read().split()]
    except OSError:
        return None
    return next(filter(None, (_named(name, child) for child in below)), None)


def eventually(look, within=LONG, pause=0.02):
    """Looks again and again until the answer is something; the last answer."""
    end = time.monotonic() + within
    while True:
        answer = look()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(pause)
