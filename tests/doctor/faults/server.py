"""The server itself: its pauses, its clock, its restarts."""

import fcntl
import glob
import itertools
import os
import select
import signal
import subprocess
import threading
import time
import urllib.parse

from clients import Again, Client
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


def look_away(stand, pipe):
    """Reads a pipe; when `.set()`, as a log driver in trouble does: it looks away for more than half of each second."""
    slow, over = threading.Event(), threading.Event()

    def read():
        while not over.is_set():
            end = time.monotonic() + 0.4
            while time.monotonic() < end:
                if select.select([pipe], [], [], 0.05)[0] and not os.read(pipe, 1 << 16):
                    return
            if slow.is_set():
                time.sleep(0.6)

    threading.Thread(target=read, daemon=True).start()
    stand.at_end(over.set)
    return slow


# Threads that serve: so few that a few clients keep all of them busy, whatever the machine has.
TWO_THREADS = {"TOKIO_WORKER_THREADS": "2"}


@case("EVENT-LOOP-LAG", "D01", "C10", what="a log at debug into a pipe whose reader looks away again and again", alone=True)
def a_log_that_nobody_reads(stand):
    far, near = os.pipe()
    fcntl.fcntl(near, fcntl.F_SETPIPE_SZ, 4096)
    slow = look_away(stand, far)
    try:
        stand.start("nacre.logging=debug", env=TWO_THREADS, stderr=near)
    finally:
        os.close(near)
    clients, numbers = [Client(stand) for _ in range(4)], itertools.count()
    calls = [Again(stand, lambda client=client: client.register(f"s-{next(numbers)}", "10.0.0.1", 8080), every=0.01)
             for client in clients]
    stand.none()
    slow.set()
    time.sleep(3)  # it is what most of the last five seconds had
    stand.visible()
    stand.finding(mentions=["each line of the log waits", "mode=non-blocking"])
    stand.alone()
    slow.clear()
    stand.clears()
    for call in calls:
        call.stop()


def traced(stand, *words):
    """Attaches strace to the running server with these words; detach by `.send_signal(SIGINT)`."""
    strace = disk.need("strace", "strace")
    pid = stand.server.pid
    tracer = subprocess.Popen([strace, "-f", "-qq", "-o", "/dev/null", *words, "-p", str(pid)], stdin=subprocess.DEVNULL)
    stand.at_end(tracer.wait)
    stand.at_end(tracer.terminate)
    end = time.monotonic() + 10
    while not all(is_traced(path, tracer.pid) for path in glob.glob(f"/proc/{pid}/task/*/status")):
        assert time.monotonic() < end and tracer.poll() is None, "strace did not attach"
        time.sleep(0.01)
    return tracer


def is_traced(path, by):
    try:
        with open(path) as status:
            return f"TracerPid:\t{by}\n" in status.read()
    except OSError:
        return True  # it ended


def let_go(tracer):
    tracer.send_signal(signal.SIGINT)
    tracer.wait(20)


@case("WORKER-RESTARTED", "D02", what="a system that refuses new threads (EPERM) while many calls need them", alone=True)
def no_more_threads(stand):
    stand.start(env=TWO_THREADS)
    stand.none()
    for _ in range(30):
        # Short: a worker that dies too often ends the process, which is not what is asked here.
        tracer = traced(stand, "-e", "trace=clone,clone3", "-e", "inject=clone,clone3:error=EPERM")
        scrapes = [Again(stand, lambda: stand.nacos("GET", "/actuator/prometheus"), every=0) for _ in range(12)]
        time.sleep(0.35)
        let_go(tracer)
        for scrape in scrapes:
            scrape.stop()
        if stand.server.events(kind="workerRestarted"):
            break
    stand.visible()
    stand.finding(mentions=["can't spawn worker thread", "pids.max"])
    stand.alone()


@case("ANSWERS-SLOW", "C10", what="a database whose every write takes 80 ms: reads of the history wait for it", alone=True)
def a_slow_database(stand):
    stand.start()
    publish(stand, "first")
    wal = glob.glob(f"{stand.home}/**/nacos.db-wal", recursive=True)[0]
    tracer = traced(stand, "-e", "trace=pwrite64", "-P", wal, "-e", "inject=pwrite64:delay_enter=80000")
    numbers = itertools.count()
    calls = [Again(stand, lambda: publish(stand, f"c-{next(numbers)}"), every=0.5)]
    calls += [Again(stand, lambda: history(stand), every=0.1) for _ in range(8)]
    began = time.monotonic()
    while time.monotonic() - began < 20 and sum(len(call.answers) for call in calls[1:]) < 3:
        time.sleep(0.05)
    stand.visible()
    found = stand.finding(mentions=["GET /v1/cs/history", "nothing else"])
    assert found["severity"] == "warning", found
    stand.alone(besides=["SERVER-STALLED"])  # whoever attaches to a process stops it for a moment
    let_go(tracer)
    for call in calls:
        call.stop()
    stand.clears()


@case("ANSWERS-SLOW", "C10", what="an fsync that takes 1.2 s: the finding of the disk is named as the reason", alone=True)
def slow_because_of_the_disk(stand):
    stand.start()
    publish(stand, "first")
    tracer = traced(stand, "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_exit=1200000")
    numbers = itertools.count()
    calls = [Again(stand, lambda: publish(stand, f"c-{next(numbers)}"), every=0) for _ in range(4)]
    time.sleep(4)
    stand.visible()
    found = stand.finding(mentions=["POST /v1/cs/configs", "DISK-SLOW"])
    assert found["severity"] == "info", found
    stand.alone(besides=["DISK-SLOW", "SERVER-STALLED"])
    stand.finding("DISK-SLOW")
    let_go(tracer)
    for call in calls:
        call.stop()
    stand.clears()


def publish(stand, name):
    status, text = stand.nacos("POST", "/v1/cs/configs", dataId=name, group="G", content="x")
    assert status == 200, (status, text)
    return status, text


def history(stand):
    return stand.nacos("GET", "/v1/cs/history", search="accurate", dataId="first", group="G", pageNo=1, pageSize=10)
