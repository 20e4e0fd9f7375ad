#!/usr/bin/env python3
"""`nacre top` in a real pseudo-terminal, in front of a real server with real services. Needs Python 3.9 and nothing else.

  tests/top/run.py [NAME...]      only cases whose name begins so

The last line is "N passed, N failed".
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import threading
import traceback

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "torture")]

from rack.call import once  # noqa: E402
from rack.process import Server, eventually  # noqa: E402
from screen import Terminal  # noqa: E402

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SIZES = [(80, 24), (120, 40)]
CASES = []


def case(function):
    CASES.append(function)
    return function


class World:
    """A server with a sick service, a dead one, healthy ones and a late beat."""

    def __init__(self, binary):
        self.binary, self.lock, self.home = binary, threading.Lock(), tempfile.mkdtemp(prefix="nacre-top-")
        self.server = Server(binary, pathlib.Path(self.home) / "main")
        self.server.wait_ready()
        self.port = self.server.port
        slow = {"preserved.heart.beat.timeout": "600000", "preserved.ip.delete.timeout": "1200000"}
        quick = {"preserved.heart.beat.interval": "1000", "preserved.heart.beat.timeout": "1500", "preserved.ip.delete.timeout": "600000"}
        for n in range(30):
            self.register(f"healthy-{n:02}", f"10.1.0.{n + 1}", metadata=json.dumps(slow))
        self.register("orders", "10.0.0.1", metadata=json.dumps(slow))
        self.register("orders", "10.0.0.2", metadata=json.dumps(quick))
        self.register("dead", "10.0.0.3", metadata=json.dumps(quick))
        for service, ip in (("orders", "10.0.0.2"), ("dead", "10.0.0.3")):
            self.beat(service, ip)
        # Both fall silent; one of them then beats once more, which ends a gap and begins another.
        eventually(lambda: self.unhealthy("orders") and self.unhealthy("dead"))
        self.beat("orders", "10.0.0.2")
        assert eventually(lambda: self.server.events(kind="beatResumed")), "the beat that came late is not in the journal"
        eventually(lambda: self.unhealthy("orders"))

    def beat(self, service, ip):
        answer = once(self.port, "PUT", "/v1/ns/instance/beat", {"serviceName": service, "ip": ip, "port": "80"})
        assert answer.status == 200, answer.text

    def register(self, service, ip, **more):
        answer = once(self.port, "POST", "/v1/ns/instance", {"serviceName": service, "ip": ip, "port": "80", **more})
        assert answer.text == "ok", answer.text

    def unhealthy(self, service):
        found = once(self.port, "GET", f"/v1/ns/catalog/instances?serviceName={service}&clusterName=DEFAULT&pageNo=1&pageSize=9")
        return any(not one["healthy"] for one in found.json()["list"])

    def top(self, columns=80, lines=24, port=None, args=("--interval", "300ms"), **env):
        command = [str(self.binary), "-s", f"http://127.0.0.1:{port or self.port}", "top", *args]
        return Terminal(command, columns, lines, **env)

    def close(self):
        self.server.stop()
        shutil.rmtree(self.home, ignore_errors=True)


def has(*wanted):
    return lambda lines: all(any(re.search(want, line) for line in lines) for want in wanted)


def ready(terminal):
    return terminal.wait(has(r"^services \d", r"HEALTHYv", r"orders"), "shown the services")


def quits(terminal):
    terminal.type("q")
    code = terminal.ends()
    assert code == 0, f"it ended with {code}"
    wrong = terminal.is_sane()
    assert not wrong, wrong


@case
def the_first_screen_has_everything(world):
    for columns, lines in SIZES:
        with world.top(columns, lines) as terminal:
            shown = terminal.wait(has(r"^services 32 +instances 33, 2 unhealthy +connections \d", r"worst gap: .* until now, 10\.0\.0\.\d:80:DEFAULT of (dead|orders)"), "the first screen")
            assert terminal.screen.other and not terminal.screen.cursor_shown
            assert len(shown) == lines and all(len(line) <= columns for line in shown)
            assert re.match(rf"nacre top +http://127.0.0.1:{world.port}/nacos +\d", shown[0]), shown[0]
            assert re.search(r"\d\d:\d\d:\d\d$", shown[0]), shown[0]
            assert re.match(r"findings: .*\d (critical|warning|info)", shown[1]), shown[1]
            for word in ("beat gap", "push", "listener", "fsync"):
                assert word in shown[3], shown[3]
            assert "limits hit" in shown[4], shown[4]
            assert re.search(r"1 services +2 instances +3 findings +4 gaps +5 limits", shown[6]), shown[6]
            # The sickest first, marked without any colour.
            assert re.match(r"[> ][X!](dead|orders) ", shown[8]), shown[8]
            assert re.match(r"[> ][X!](dead|orders) ", shown[9]), shown[9]
            assert shown[-1].startswith("q quit  ? help"), shown[-1]
            quits(terminal)


@case
def keys_change_sort_filter_open_and_help(world):
    with world.top() as terminal:
        ready(terminal)
        terminal.type("s")
        terminal.wait(has(r"ALLv"), "sorted by the next column")
        terminal.type("ssr")
        terminal.wait(lambda lines: any("GROUP^" in line for line in lines), "sorted backwards")
        terminal.type("/ord")
        shown = terminal.wait(lambda lines: any("filter: ord_" in line for line in lines) and not any("healthy-0" in line for line in lines), "filtered")
        assert any("orders" in line for line in shown)
        terminal.type("\r\r")
        shown = terminal.wait(has(r"^service orders \(esc: back\)", r"registered"), "the timeline of the service")
        terminal.type("\x1b")
        terminal.wait(has(r"SERVICE +GROUP"), "back in the list")
        terminal.type("\x1b")
        terminal.wait(has(r"healthy-0"), "the filter is gone")
        terminal.type("2")
        terminal.wait(has(r"^>X10\.0\.0\.\d:80 .*unhealthy"), "instances, the sick ones first")
        terminal.type("\r")
        terminal.wait(has(r"^instance 10\.0\.0\.\d:80:DEFAULT", r"became unhealthy"), "the timeline of an instance")
        terminal.type("\x1b")
        terminal.wait(has(r"ADDRESS"), "back in the list")
        terminal.type("3")
        found = terminal.wait(has(r"SEVERITYv", r"^>"), "findings")
        code = next(line for line in found if line.startswith(">")).split()[1]
        terminal.type("\r")
        terminal.wait(has(rf"^{code} \(esc: back\)", r"^cause  "), "a finding")
        terminal.type("\x1b[F")
        terminal.wait(has(r"^do  "), "its end")
        # An escape and a key at once would be one key.
        terminal.type("\x1b")
        terminal.wait(has(r"SEVERITYv"), "back in the list")
        terminal.type("4")
        terminal.wait(has(r"GAPv", r"now .*10\.0\.0\.3:80:DEFAULT", r"\d\d:\d\d:\d\d .*10\.0\.0\.2:80:DEFAULT"), "gaps")
        terminal.type("5")
        terminal.wait(has(r"VALUEv", r"nacre_"), "limits")
        terminal.type("?")
        terminal.wait(has(r"^help \(esc: back\)", r"quit", r"sort by", r"pause"), "help")
        terminal.type("\x1b")
        terminal.wait(has(r"VALUEv"), "back in the list")
        terminal.type("1p")
        terminal.wait(has(r"PAUSED"), "paused")
        terminal.type("p\x1b[F")
        terminal.wait(has(r"^>.*healthy-29"), "the end of the list")
        terminal.type("\x1b[H")
        terminal.wait(has(r"^>[X!]"), "its beginning")
        quits(terminal)


@case
def a_terminal_that_is_resized_is_drawn_anew(world):
    with world.top() as terminal:
        ready(terminal)
        for columns, lines in ((120, 40), (60, 12), (100, 30)):
            terminal.resize(columns, lines)
            shown = terminal.wait(lambda shown: shown[-1].startswith("q quit") and shown[0].startswith("nacre top"), f"drawn on {columns} by {lines}")
            assert len(shown) == lines
        quits(terminal)


@case
def ends_in_every_way_with_the_terminal_as_it_was(world):
    def ctrl_c(terminal):
        terminal.type("\x03")

    for name, end in {
        "q": lambda terminal: terminal.type("q"), "ctrl-c": ctrl_c,
        "SIGTERM": lambda terminal: terminal.process.send_signal(signal.SIGTERM),
        "SIGINT": lambda terminal: terminal.process.send_signal(signal.SIGINT),
    }.items():
        with world.top() as terminal:
            ready(terminal)
            end(terminal)
            code = terminal.ends()
            wrong = terminal.is_sane()
            assert code == 0 and not wrong, f"after {name}: {code} {wrong}"


@case
def a_signal_that_comes_at_the_start_leaves_no_raw_terminal(world):
    with world.top() as terminal:
        # As soon as it has touched the terminal at all.
        while not terminal.raw:
            terminal.read()
        terminal.process.send_signal(signal.SIGTERM)
        terminal.ends()
        assert not terminal.is_sane(), terminal.is_sane()


@case
def without_colours_there_is_not_one(world):
    for name, env in {"NO_COLOR": {"NO_COLOR": "1"}, "vt100": {"TERM": "vt100"}}.items():
        with world.top(**env) as terminal:
            ready(terminal)
            assert not terminal.screen.coloured, f"{name}: {terminal.raw!r}"
            quits(terminal)
    with world.top() as terminal:
        ready(terminal)
        assert terminal.screen.coloured, "and with colours there are some"
        quits(terminal)


@case
def a_dumb_terminal_gets_one_plain_screen(world):
    with world.top(TERM="dumb") as terminal:
        code = terminal.ends()
        assert code == 0 and b"\x1b" not in terminal.raw, (code, terminal.raw)
        assert b"services 32" in terminal.raw, terminal.raw
        assert not terminal.is_sane(), terminal.is_sane()


@case
def a_server_that_goes_away_is_told_and_its_return_is_shown(world):
    home = pathlib.Path(world.home) / "other"
    server = Server(world.binary, home)
    server.wait_ready()
    port = server.port
    try:
        answer = once(port, "POST", "/v1/ns/instance", {"serviceName": "kept", "ip": "10.0.0.9", "port": "80", "ephemeral": "false"})
        assert answer.text == "ok"
        with world.top(port=port) as terminal:
            terminal.wait(has(r"kept", r"^(no findings|findings:)"), "the service")
            server.kill()
            terminal.wait(has(r"^NO ANSWER: ", r"kept"), "told that nobody answers, with the last picture")
            # Keys go on meanwhile.
            terminal.type("?")
            terminal.wait(has(r"^help"), "help without a server")
            terminal.type("\x1b")
            server = Server(world.binary, home, port=port)
            server.wait_ready()
            terminal.wait(has(r"kept", r"^(no findings|findings:)"), "the service again")
            quits(terminal)
    finally:
        server.stop()


@case
def a_server_that_was_never_there_is_told_and_the_way_out_works(world):
    with world.top(port=1) as terminal:
        terminal.wait(has(r"^NO ANSWER: "), "told that nobody answers")
        quits(terminal)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*")
    options.add_argument("--binary", default=TARGET / "debug" / "nacre", type=pathlib.Path)
    chosen = options.parse_args()
    assert chosen.binary.exists(), f"{chosen.binary} is not built"
    cases = [one for one in CASES if not chosen.names or any(one.__name__.startswith(name) for name in chosen.names)]
    assert cases, "no such case"
    world = World(chosen.binary)
    failed = 0

    def run(one):
        try:
            one(world)
        except Exception:  # noqa: BLE001: whatever went wrong is the result
            return traceback.format_exc(limit=-2)
        return None

    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for one, error in zip(cases, pool.map(run, cases)):
                failed += bool(error)
                print(f"{'FAIL' if error else 'ok  '} {one.__name__}", error or "", flush=True)
    finally:
        world.close()
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
