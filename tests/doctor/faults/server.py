"""The server itself: its pauses, its clock, its restarts."""

import os
import threading
import time
import urllib.parse

from clients import Again
from rack import cgroup, disk, faults as rack_faults
from stand import case


@case("SERVER-STALLED", "D01", what="a server under SIGSTOP for three seconds", alone=True)
def a_stopped_server(stand):
    server = stand.start()
    time.sleep(1.5)
    server.signal("STOP")
    time.sleep(3)
    server.signal("CONT")
    stand.visible()
    stand.finding(mentions=["did not run for"])
    stand.alone()
    stand.clears()


@case("CLOCK-STEPPED", "D03", what="a wall clock that jumps an hour forward")
def a_clock_that_jumps(stand):
    library = next(filter(os.path.exists, rack_faults.FAKETIME), None)
    if library is None:
        disk.install("libfaketime")
        library = next(filter(os.path.exists, rack_faults.FAKETIME))
    offset = os.path.join(stand.home, "offset")

    def jump(seconds):
        with open(offset + ".new", "w") as file:
            file.write(f"{seconds:+d}")
        os.rename(offset + ".new", offset)

    jump(0)
    stand.start(env={"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": offset, "FAKETIME_NO_CACHE": "1",
                     "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    time.sleep(1)
    jump(3600)
    stand.visible()
    stand.finding(mentions=["forward"])
    stand.alone()
    stand.clears()


@case("RESTART-BEATS-UNKNOWN", "D05", "D07", what="a restart under twenty beating instances")
def a_restart_under_beating_clients(stand):
    stand.start()
    for port in range(20):
        stand.register("restarted", "10.0.0.1", 9000 + port)
    stand.server.kill()
    stand.start()
    for port in range(20):
        status, text = stand.beat("restarted", "10.0.0.1", 9000 + port)
        assert "20404" in text, (status, text)
    stand.visible()
    found = stand.finding(mentions=["20 instances", "20404"])
    assert found["severity"] == "info"
    stand.clears()


@case("MASS-EXPIRY-HELD", "D01", "D03", what="all twenty instances of a service fall silent at once")
def a_mass_expiry(stand):
    stand.start("nacre.naming.brake.hold=8000")
    timers = {"preserved.heart.beat.interval": "1000", "preserved.heart.beat.timeout": "1500",
              "preserved.ip.delete.timeout": "3000"}
    for port in range(20):
        status, text = stand.register("massive", "10.0.0.1", 9000 + port, metadata=timers)
        assert status == 200, text
        stand.beat("massive", "10.0.0.1", 9000 + port)
    time.sleep(3.2)
    stand.visible()
    stand.finding(mentions=["massive", "of 20"])
    stand.clears()


@case("SERVICE-REMOVED-BY-CLEANER", "D11", what="a service with a threshold, empty for longer than the cleaner waits")
def a_cleaned_service(stand):
    stand.start("nacos.naming.clean.empty-service.expired-time=1000")
    status, text = stand.nacos("POST", "/v1/ns/service", serviceName="guarded", protectThreshold="0.8")
    assert status == 200, text
    time.sleep(1.5)
    stand.visible()
    found = stand.finding(mentions=["guarded", "protectThreshold 0.8"])
    assert found["severity"] == "info"
    stand.alone()
    stand.clears()


def at_once():
    """Before whatever else runs on this machine: the calling thread, and what it starts."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def work(stand, size=2_000_000, processors=None):
    """Makes the server work: it reads a long form of which it needs a few words."""
    body = "username=nacos&password=nacos&unread=" + urllib.parse.quote("\u00e4" * (size // 6))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    begun = threading.local()

    def send():
        if processors and not getattr(begun, "yes", False):
            # Of this thread alone: a sender that gets no turn makes nobody work.
            os.sched_setaffinity(0, processors)
            at_once()
            begun.yes = True
        return stand.http(stand.port, "POST", "/nacos/v1/auth/users/login", headers=headers, body=body)

    return send


@case("CPU-SATURATED", "D01", "C10", what="a server with one processor and four clients that send it long forms", alone=True)
def out_of_processors(stand):
    own, *others = sorted(os.sched_getaffinity(0))

    def one_of_them():
        os.sched_setaffinity(0, {own})
        at_once()

    stand.start(preexec=one_of_them)
    stand.none()
    send = work(stand, 3_000_000, set(others) or {own})
    senders = [Again(stand, send, every=0) for _ in range(4)]
    time.sleep(5)  # it is the share of the last five seconds
    stand.visible()
    stand.finding(mentions=["% of its 1 processors"])
    stand.alone(besides=["SERVER-STALLED"])
    for sender in senders:
        sender.stop()
    stand.clears()


@case("CPU-THROTTLED", "D01", "C10", what="a control group with a quota of a fifth of a processor", alone=True)
def a_quota_of_processors(stand):
    group = cgroup.Group("cpu")
    stand.at_end(group.remove)
    stand.at_end(lambda: stand.server and stand.server.kill())
    stand.start(preexec=group.enter)
    stand.none()
    group.quota(0.2)
    sender = Again(stand, work(stand, 500_000), every=0)
    time.sleep(3)
    stand.visible()
    stand.finding(mentions=["cpu.max"])
    stand.alone(besides=["SERVER-STALLED"])
    sender.stop()
    group.quota(None)
    stand.clears()
