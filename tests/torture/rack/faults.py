"""Faults of the machine, one test each: what happens, what goes on, and what the journal says of it.

A test is a function that is given a `Stage`; its name is what holds. The first line of its text is the row of the table "what
happens when" (docs/promises.md): a part fails → effect → what goes on → why.
"""

import concurrent.futures
import os
import re
import tempfile
import threading
import time

from . import call, disk, survey
from .call import Outcome
from .living import DELETE, DETECTION, Living
from .process import Ended, Server, eventually

FAKETIME = ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
            "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1")
HOUR = 3_600_000


class Stage:
    """A directory and the servers of one test; everything ends with the test."""

    def __init__(self, binary, directory, long):
        self.binary, self.directory, self.long = binary, directory, long
        self.servers = []

    def start(self, home=None, settings=(), **more):
        server = Server(self.binary, home or os.path.join(self.directory, "home"), settings, **more)
        self.servers.append(server)
        return server.wait_ready()

    def end(self):
        for server in self.servers:
            server.kill()


def publish(server, name, content):
    return server_call(server, "POST", "/v1/cs/configs", {"dataId": name, "group": survey.GROUP, "content": content})


def server_call(server, method, path, form):
    return call.once(server.port, method, path, form)


def read(server, name):
    ask = call.Caller(server.port)
    try:
        return survey.config_text(ask, name)
    finally:
        ask.close()


def check_kept(server, kept, refused=()):
    for name, content in kept.items():
        assert read(server, name) == content, f"the acknowledged {name} is lost"
    for name in refused:
        assert read(server, name) is None, f"{name} was refused as not done and is there"


def publish_until_refused(server, kept, size=300_000):
    """Publishes until one is refused; its answer."""
    for number in range(1000):
        name, content = f"big-{len(kept)}-{number}", "x" * size
        answer = publish(server, name, content)
        if answer.status != 200:
            return name, answer
        kept[name] = content
    raise AssertionError("nothing was ever refused")


# -------------------------------------------------------------------------------------------------------------- the disk

def a_full_disk_refuses_durable_writes_and_nothing_else(stage):
    """The disk is full | durable writes are refused at once with `not done: …`, readiness says no | reads, beats, registrations
    of living clients, pushes, the journal | space is reserved before a write is accepted; writes go on by themselves when there is space"""
    with disk.Small(os.path.join(stage.directory, "disk"), 24) as small:
        server = stage.start(os.path.join(small.at, "home"), DETECTION)
        with Living(server) as living:
            kept = {"first": "kept"}
            assert publish(server, "first", "kept").status == 200
            ballast = small.fill()
            refused, answer = publish_until_refused(server, kept)
            assert answer.status >= 500 and call.NOT_DONE in answer.text, answer.text
            check_kept(server, kept, [refused])
            server.wait_event("writeFailed", lambda event: "full" in event["text"] or "space" in event["text"])
            for _ in range(100):
                publish(server, "again", "and again")
            assert len(server.events(kind="writeFailed")) < 50, "one refusal after the other floods the journal"
            ready = server.get("/v1/console/health/readiness")
            assert ready.status >= 500, ready.text
            assert server.get("/v1/console/health/liveness").status == 200
            assert server_call(server, "POST", "/v1/ns/instance", {"serviceName": "new", "ip": "192.0.2.9", "port": 1}).status == 200
            os.remove(ballast)
            assert eventually(lambda: publish(server, "after", "kept").status == 200), "it does not recover by itself"
            kept["after"] = "kept"
            # Whichever of log and database met the end of the disk first.
            server.wait_event("writeRecovered,storeRecovered")
            assert eventually(lambda: server.get("/v1/console/health/readiness").status == 200), "readiness stays down"
            assert not living.harm(), living.harm()
        server.kill()
        server = stage.start(os.path.join(small.at, "home"))
        check_kept(server, kept, [refused])
        server.kill()


def a_read_only_data_directory_is_named_at_the_start(stage):
    """The data directory is read-only at the start | the start is refused, naming the file and the reason | nothing runs |
    a server that cannot keep what it acknowledges must not begin"""
    with disk.Small(os.path.join(stage.directory, "disk"), 64) as small:
        home = os.path.join(small.at, "home")
        server = stage.start(home)
        assert publish(server, "c", "kept").status == 200
        server.kill()
        small.remount("ro")
        try:
            stage.start(home)
            raise AssertionError("it started on a read-only disk")
        except Ended as refusal:
            assert refusal.code == 1 and home in refusal.text and "ead-only" in refusal.text, refusal.text
        small.remount("rw")
        server = stage.start(home)
        check_kept(server, {"c": "kept"})
        server.kill()


def a_disk_that_fails_under_a_running_server_stops_writes_and_loses_nothing(stage):
    """The disk fails or turns read-only while the server runs | durable writes are refused or, when they met it, answered `outcome
    unknown: …` | reads, beats, registrations of living clients, pushes | nobody knows what a failed flush left; a restart checks and replays the log"""
    at, image = os.path.join(stage.directory, "disk"), os.path.join(stage.directory, "image")
    with disk.Fragile(at, image, 96) as fragile:
        home = os.path.join(at, "home")
        server = stage.start(home, DETECTION)
        with Living(server) as living:
            kept = {f"c{number}": f"kept {number}" for number in range(20)}
            for name, content in kept.items():
                assert publish(server, name, content).status == 200
            fragile.cut()
            answer = publish(server, "later", "lost?")
            assert answer.status >= 500, answer.text
            assert answer.outcome() in (Outcome.REFUSED, Outcome.UNKNOWN)
            assert "outcome unknown" in answer.text or call.NOT_DONE in answer.text, answer.text
            check_kept(server, kept)
            assert eventually(lambda: server.events(kind="writeFailed,storePoisoned")), "the journal does not say so"
            assert server.get("/v1/console/health/readiness").status >= 500
            time.sleep(DELETE / 1000)  # long enough for an expiry, if there were one
            assert not living.harm(), living.harm()
        server.kill()
        fragile.power_on()
        server = stage.start(home)
        check_kept(server, kept)
        server.kill()


def a_slow_disk_slows_durable_writes_and_nothing_else(stage):
    """A flush takes long | durable writes wait for it | reads, beats, registrations of living clients, pushes | only what is
    durable waits for the disk; the journal has every slow flush"""
    strace = disk.need("strace", "strace")
    delay = 600 if stage.long else 300
    wrapper = [strace, "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fdatasync,fsync",
               "-e", f"inject=fdatasync,fsync:delay_exit={delay * 1000}"]
    server = stage.start(settings=DETECTION, wrapper=wrapper)
    with Living(server) as living:
        for number in range(5):
            begun = time.monotonic()
            assert publish(server, f"c{number}", "kept").status == 200
            assert time.monotonic() - begun >= delay / 1000, "the write did not wait for the disk"
        done = threading.Event()

        def write():
            publish(server, "c5", "kept")
            done.set()
        threading.Thread(target=write, daemon=True).start()
        reads = 0
        while not done.is_set():
            assert read(server, "c1") == "kept"
            reads += 1
        assert reads > 3, f"{reads} reads went on while a write waited"
        event = server.wait_event("fsyncSlow", lambda event: event["cause"]["ms"] >= delay)
        assert "every durable write waited" in event["text"]
        assert not living.harm(), living.harm()
    server.kill()
    server = stage.start()
    check_kept(server, {f"c{number}": "kept" for number in range(6)})


# ----------------------------------------------------------------------------------------------------- time and the process

def short_stalls_of_the_process_harm_nobody(stage):
    """The process stands still for 200 ms, again and again | answers come that much later | everything | time in which the
    server did not run is not held against clients"""
    server = stage.start(settings=DETECTION)
    with Living(server) as living:
        for _ in range(25 if stage.long else 12):
            server.signal("STOP")
            time.sleep(0.2)
            server.signal("CONT")
            time.sleep(0.1)
        assert publish(server, "c", "kept").status == 200
        time.sleep(DELETE / 1000 + 0.5)
        assert not living.harm(), living.harm()


def a_long_stall_of_the_process_harms_nobody_and_is_told(stage):
    """The process stands still longer than every timeout | nothing is answered meanwhile | all instances, connections and
    subscriptions are as before | the clock of expiry stands still with the process; the journal says for how long"""
    stall = 30 if stage.long else 7
    server = stage.start(settings=DETECTION)
    with Living(server) as living:
        server.signal("STOP")
        time.sleep(stall)
        server.signal("CONT")
        event = server.wait_event("serverStalled", lambda event: event["cause"]["ms"] >= (stall - 2) * 1000)
        assert "not held against clients" in event["text"]
        living.wait_all()
        time.sleep(DELETE / 1000 + 0.5)
        assert not living.harm(), living.harm()
        # And who is silent from now on goes, in its time.
        living.fall_silent(3)
        server.wait_event("instanceRemoved", lambda event: event["subject"]["instance"] == "192.0.2.1:4:DEFAULT")
        assert not living.harm(), living.harm()


def a_wall_clock_that_jumps_harms_nobody_and_is_told(stage):
    """The wall clock jumps by an hour, forward or back | times shown in lists and histories jump with it | nothing expires,
    nothing is lost, expiry goes on in its time | deadlines are measured on the monotonic clock; the journal has the step"""
    library = next(filter(os.path.exists, FAKETIME), None)
    if library is None:
        disk.install("libfaketime")
        library = next(filter(os.path.exists, FAKETIME), None)
    if library is None:
        raise disk.Unfit("libfaketime is missing")
    offset = os.path.join(stage.directory, "offset")

    def set_clock(seconds):
        with open(offset + ".new", "w") as file:
            file.write(f"{seconds:+d}")
        os.rename(offset + ".new", offset)

    set_clock(0)
    server = stage.start(settings=DETECTION, env={
        "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": offset, "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    kept = {}
    with Living(server) as living:
        for jump, seconds in ((HOUR, 3600), (-2 * HOUR, -3600), (HOUR, 0)):
            set_clock(seconds)
            server.wait_event("clockStepped", lambda event: abs(event["cause"]["byMs"] - jump) < 5000)
            kept[f"at{seconds}"] = f"written at {seconds}"
            assert publish(server, f"at{seconds}", f"written at {seconds}").status == 200
            check_kept(server, kept)
            time.sleep(DELETE / 1000 + 0.5)
            assert not living.harm(), living.harm()
            if seconds < 0:
                # Expiry does not wait for the wall clock to catch up.
                living.fall_silent(3)
                begun = time.monotonic()
                server.wait_event("instanceRemoved", lambda event: event["subject"]["instance"] == "192.0.2.1:4:DEFAULT")
                assert time.monotonic() - begun < 4 * DELETE / 1000
    server.kill()
    server = stage.start()
    check_kept(server, kept)


TESTS = [a_full_disk_refuses_durable_writes_and_nothing_else, a_read_only_data_directory_is_named_at_the_start,
         a_disk_that_fails_under_a_running_server_stops_writes_and_loses_nothing,
         a_slow_disk_slows_durable_writes_and_nothing_else, short_stalls_of_the_process_harm_nobody,
         a_long_stall_of_the_process_harms_nobody_and_is_told, a_wall_clock_that_jumps_harms_nobody_and_is_told]


def row(test):
    """The test's row of the table: what fails, effect, what goes on, why."""
    return [part.strip() for part in re.sub(r"\s+", " ", test.__doc__).split("|")]


def perform(test, binary, long):
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nacre-fault-", ignore_cleanup_errors=True) as directory:
        stage = Stage(binary, directory, long)
        try:
            test(stage)
            failure = None
        except (AssertionError, OSError, Ended, disk.Unfit, KeyError) as error:
            failure = f"{type(error).__name__}: {str(error)[:1500]}"
        finally:
            stage.end()
    return {"test": test.__name__, "ok": failure is None, "failure": failure, "row": row(test),
            "seconds": round(time.monotonic() - begun, 1)}


def run(binary, names, long, jobs):
    """All tests, several at a time: most of them wait."""
    tests = [test for test in TESTS if not names or any(name in test.__name__ for name in names)]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(perform, test, binary, long) for test in tests]):
            result = done.result()
            print(f"  {'ok    ' if result['ok'] else 'FAILED'} {result['test']} ({result['seconds']} s)"
                  + (f"\n         {result['failure']}" if result["failure"] else ""), flush=True)
            yield result


