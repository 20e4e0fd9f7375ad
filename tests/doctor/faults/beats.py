"""Beats that are never or no longer sent, and timers that cannot work. Clients are processes of their own where the fault is
one: they are stopped, killed, or cut off."""

import http.client
import signal
import subprocess
import sys
import time
import urllib.parse

from clients import Again
from rack import process
from stand import case

# A client of its own process: registers, beats, and on line "poll" of its input reads a config.
BEATER = """
import http.client, json, sys, threading, time, urllib.parse
port, source, service, ip, number, every, timers, agent = json.loads(sys.argv[1])
def call(method, path, **form):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5, source_address=(source, 0))
        connection.request(method, "/nacos" + path + "?" + urllib.parse.urlencode(form), headers={"User-Agent": agent})
        text = connection.getresponse().read().decode()
        connection.close()
        return text
    except OSError:
        return ""
def register():
    return call("POST", "/v1/ns/instance", serviceName=service, ip=ip, port=number, ephemeral="true",
                metadata=json.dumps(timers))
def commands():
    for line in sys.stdin:
        state[line.strip()] = True
state = {}
threading.Thread(target=commands, daemon=True).start()
print(register(), flush=True)
while True:
    if "mute" not in state:
        if "20404" in call("PUT", "/v1/ns/instance/beat", serviceName=service, ip=ip, port=number):
            register()
    if "poll" in state:
        call("GET", "/v1/cs/configs", dataId="app.yaml", group="DEFAULT_GROUP")
    time.sleep(every)
"""

# Beats every half second, unhealthy after 1.6 s, removed after 6 s: shortened so that a case takes seconds.
EVERY = 0.5
TIMERS = {"preserved.heart.beat.interval": "500", "preserved.heart.beat.timeout": "1600",
          "preserved.ip.delete.timeout": "6000"}
SHORT = {**TIMERS, "preserved.ip.delete.timeout": "2500"}
JAVA = "Nacos-Java-Client:v1.4.8"


class Client:
    def __init__(self, stand, service, address, number, timers=None, agent=JAVA):
        import json
        arguments = [stand.port, address, service, address, number, EVERY, timers or TIMERS, agent]
        self.process = subprocess.Popen([sys.executable, "-c", BEATER, json.dumps(arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        stand.at_end(self.end)
        assert self.process.stdout.readline().strip() == "ok", "not registered"

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()


def others(stand, *addresses):
    return [Client(stand, "steady-svc", address, 9000 + n) for n, address in enumerate(addresses)]


def unhealthy(stand, service):
    """Waits until the doctor could know."""
    from rack import process
    def look():
        return stand.nacos("GET", "/v1/ns/instance/list", source="127.0.0.2", serviceName=service, healthyOnly="true")[
            1].count('"ip"') == 0
    assert process.eventually(look, 15, pause=0.1), "still healthy"
    stand.visible()


@case("BEAT-GAP-CLIENT-PAUSED", "A09", what="SIGSTOP of one of two client processes of an address (a long GC)")
def one_process_is_stopped(stand):
    stand.start()
    others(stand, "127.0.1.20", "127.0.1.21")
    client = Client(stand, "paused-svc", "127.0.1.20", 8080)
    time.sleep(4)
    client.stop()
    unhealthy(stand, "paused-svc")
    found = stand.finding(mentions=["127.0.1.20:8080", "0.5 s, 0.5 s", "127.0.1.20:9000"])
    assert any("127.0.1.20 beat on" in text for text in found["ruledOut"]), found["ruledOut"]
    assert any("did not stall" in text for text in found["ruledOut"]), found["ruledOut"]
    stand.alone()
    client.go_on()
    stand.finding(mentions=["127.0.1.20:8080"], holds=lambda found: "so far" not in found["cause"])
    stand.clears()


@case("BEAT-GAP-HOST", "A10", "A14", "A15", what="SIGSTOP of all client processes of one address")
def a_whole_host_is_stopped(stand):
    stand.start()
    others(stand, "127.0.2.21", "127.0.3.22")
    clients = [Client(stand, "host-svc", "127.0.2.20", 8080), Client(stand, "host-svc", "127.0.2.20", 8081)]
    time.sleep(3)
    for client in clients:
        client.stop()
    unhealthy(stand, "host-svc")
    stand.finding(mentions=["127.0.2.20:8080", "127.0.2.20:8081"])
    stand.alone()
    for client in clients:
        client.go_on()
    stand.clears()


@case("BEAT-GAP-SUBNET", "A15", what="all clients of one /24 stop at once, another subnet beats on")
def a_subnet_falls_silent(stand):
    stand.start()
    others(stand, "127.0.5.1", "127.0.5.2", "127.0.5.3", "127.0.5.4")
    clients = [Client(stand, "subnet-svc", f"127.0.4.{n}", 8080) for n in (20, 21, 22)]
    time.sleep(3)
    for client in clients:
        client.stop()
    unhealthy(stand, "subnet-svc")
    stand.finding(mentions=["127.0.4.0/24"])
    stand.alone()
    for client in clients:
        client.go_on()
    stand.clears()


@case("BEAT-GAP-EVERYBODY", "A15", "D01", what="all clients of all addresses stop at once")
def everybody_falls_silent(stand):
    stand.start()
    clients = [Client(stand, "all-svc", f"127.0.{n}.20", 8080) for n in (6, 7, 8, 9)]
    time.sleep(3)
    for client in clients:
        client.stop()
    unhealthy(stand, "all-svc")
    stand.finding(mentions=["4 addresses"])
    stand.alone()
    for client in clients:
        client.go_on()
    stand.clears()


@case("CLIENT-GONE", "C06", what="kill -9 of a client process; nothing else comes from its address")
def a_client_is_killed(stand):
    stand.start()
    others(stand, "127.0.10.21")
    client = Client(stand, "gone-svc", "127.0.10.20", 8080, timers=SHORT)
    time.sleep(3)
    client.process.kill()
    unhealthy(stand, "gone-svc")
    stand.finding(mentions=["127.0.10.20:8080", "0.5 s, 0.5 s", JAVA])
    stand.alone()
    stand.finding(mentions=["removed"], holds=lambda found: "is removed now" in found["cause"])
    stand.clears()


@case("BEAT-TASK-DEAD", "A03", what="a client that stops its beats and goes on reading configs")
def a_beat_task_dies(stand):
    stand.start()
    others(stand, "127.0.11.21")
    client = Client(stand, "task-svc", "127.0.11.20", 8080)
    time.sleep(3)
    client.tell("mute")
    client.tell("poll")
    unhealthy(stand, "task-svc")
    stand.finding(mentions=["127.0.11.20:8080", "reading configs"])
    stand.alone()
    client.process.kill()
    stand.clears()


@case("BEAT-TASK-DEAD", "A03", what="beats of one service of a process stop, those of its other service go on")
def one_beat_task_of_two_dies(stand):
    stand.start()
    for service in ("one-svc", "two-svc"):
        stand.register(service, "127.0.12.20", 8080, source="127.0.12.20", metadata=TIMERS)
    dying = stand.beats("one-svc", "127.0.12.20", 8080, every=EVERY, source="127.0.12.20")
    stand.beats("two-svc", "127.0.12.20", 8080, every=EVERY, source="127.0.12.20")
    time.sleep(3)
    dying.paused = True
    unhealthy(stand, "one-svc")
    stand.finding(mentions=["127.0.12.20:8080", "one-svc", "two-svc"])
    stand.alone()
    dying.paused = False
    stand.clears()


@case("REGISTER-NO-BEATS", "A01", what="an instance registered by curl and never beaten for")
def registered_by_a_script(stand):
    stand.start()
    stand.register("script-svc", "192.0.2.50", 8080, source="127.0.13.20", agent="curl/8.5.0", metadata=SHORT)
    unhealthy(stand, "script-svc")
    stand.finding(mentions=["192.0.2.50:8080", "127.0.13.20", "curl/8.5.0", "never sent a beat"])
    stand.alone()
    stand.clears()


@case("REGISTER-NO-BEATS", "A02", what="a Python 1.x client that registers without heartbeat_interval")
def registered_by_python_without_beats(stand):
    stand.start()
    stand.register("python-svc", "127.0.13.21", 8080, source="127.0.13.21", agent="Nacos-Python-Client:v0.1.14",
                   metadata=SHORT)
    unhealthy(stand, "python-svc")
    stand.finding(mentions=["127.0.13.21:8080", "Nacos-Python-Client:v0.1.14", "heartbeat_interval"])
    stand.alone()
    stand.clears()


@case("REREGISTER-STOPS-BEATS", "A04", what="a Go client that registers again and then beats no more")
def a_second_registration_ends_the_beats(stand):
    stand.start()
    agent = "Nacos-Go-Client:v1.1.2"
    stand.register("go-svc", "127.0.14.20", 8080, source="127.0.14.20", agent=agent, metadata=SHORT)
    beats = stand.beats("go-svc", "127.0.14.20", 8080, every=EVERY, source="127.0.14.20", agent=agent)
    time.sleep(3)
    beats.stop()
    stand.register("go-svc", "127.0.14.20", 8080, source="127.0.14.20", agent=agent, metadata=SHORT)
    unhealthy(stand, "go-svc")
    stand.finding(mentions=["127.0.14.20:8080", agent, "nacos-sdk-go"])
    stand.alone()
    stand.clears()


@case("DEREGISTERED-BY-OTHER", "A08", what="a script deregisters an instance whose client beats on")
def a_script_deregisters_a_live_instance(stand):
    stand.start()
    Client(stand, "taken-svc", "127.0.15.20", 8080)
    time.sleep(1)
    stand.nacos("DELETE", "/v1/ns/instance", source="127.0.15.99", agent="deploy-script/1.0", serviceName="taken-svc",
                ip="127.0.15.20", port=8080)
    stand.visible()
    stand.finding(mentions=["127.0.15.20:8080", "127.0.15.99", "deploy-script/1.0"])
    stand.alone()
    stand.clears()


@case("NOT-REGISTERED-SEEN-ALIVE", "A07", "A16", what="a client that reads configs after its instance was deregistered")
def alive_but_not_registered(stand):
    stand.start()
    stand.register("left-svc", "127.0.16.20", 8080, source="127.0.16.20")
    stand.nacos("DELETE", "/v1/ns/instance", source="127.0.16.20", agent=JAVA, serviceName="left-svc", ip="127.0.16.20",
                port=8080)
    stand.none(for_seconds=2)
    began = time.monotonic()
    while time.monotonic() - began < 7:
        stand.nacos("GET", "/v1/cs/configs", source="127.0.16.20", agent=JAVA, dataId="a", group="g")
        time.sleep(0.5)
    stand.visible()
    stand.finding(mentions=["127.0.16.20:8080", "reading configs", "no registration attempt", "deregistered"])
    stand.alone()
    stand.register("left-svc", "127.0.16.20", 8080, source="127.0.16.20")
    stand.clears()


@case("REGISTER-STORM", "A05", "A06", what="a client that registers on every request")
def one_instance_is_registered_again_and_again(stand):
    stand.start()
    for _ in range(12):
        stand.register("storm-svc", "127.0.17.20", 8080, source="127.0.17.20", agent="Nacos-C-Client:v1.1.0")
    stand.visible()
    stand.finding(mentions=["127.0.17.20:8080", "12 times", "Nacos-C-Client:v1.1.0"])
    stand.alone()
    stand.clears()


@case("TIMERS-LOOK-LIKE-SECONDS", "A17", what="5, 15 and 30 as timers: seconds where milliseconds are meant")
def timers_in_seconds(stand):
    stand.start()
    timers = {"preserved.heart.beat.interval": "5", "preserved.heart.beat.timeout": "15",
              "preserved.ip.delete.timeout": "30"}
    status, text = stand.register("seconds-svc", "127.0.18.20", 8080, source="127.0.18.20", metadata=timers)
    assert (status, text) == (200, "ok")
    stand.visible()
    stand.finding(mentions=["preserved.heart.beat.interval=5", "preserved.heart.beat.timeout=15",
                            "preserved.ip.delete.timeout=30", "ms", "seconds", "127.0.18.20:8080"])
    stand.alone()
    stand.clears()


@case("BEAT-FLOOD", "A17", what="beats every few milliseconds")
def a_flood_of_beats(stand):
    stand.start()
    stand.register("flood-svc", "127.0.19.20", 8080, source="127.0.19.20")
    path = "/nacos/v1/ns/instance/beat?" + urllib.parse.urlencode(
        {"serviceName": "flood-svc", "ip": "127.0.19.20", "port": 8080})

    def beater():
        connection = http.client.HTTPConnection("127.0.0.1", stand.port, timeout=10, source_address=("127.0.19.20", 0))

        def beat():
            connection.request("PUT", path)
            return connection.getresponse().read()

        return Again(stand, beat, every=0)

    # Several, so that one which gets no turn for a moment does not end the flood.
    floods = [beater() for _ in range(4)]
    process.eventually(lambda: sum(len(flood.answers) for flood in floods) > 450)
    stand.visible()
    stand.finding(mentions=["127.0.19.20", "milliseconds"])
    stand.alone()
    for flood in floods:
        flood.stop()
    stand.clears()


@case("INTERVAL-OVER-TIMEOUT", "A18", what="beats every 3 s, asked for every 2 s, with a timeout of 2 s")
def an_interval_over_the_timeout(stand):
    stand.start()
    timers = {"preserved.heart.beat.interval": "2000", "preserved.heart.beat.timeout": "2000"}
    stand.register("long-svc", "127.0.20.20", 8080, source="127.0.20.20", metadata=timers)
    beats = stand.beats("long-svc", "127.0.20.20", 8080, every=3, source="127.0.20.20")
    stand.visible()
    stand.finding(mentions=["127.0.20.20:8080", "every 2000 ms", "after 2000 ms"])
    time.sleep(9)
    stand.alone()
    beats.stop()
    stand.register("long-svc", "127.0.20.20", 8080, source="127.0.20.20")
    stand.clears()


@case("TIMEOUT-TOO-SHORT", "A19", what="a timeout of one and a half intervals")
def a_timeout_that_is_too_short(stand):
    stand.start()
    timers = {"preserved.heart.beat.interval": "1000", "preserved.heart.beat.timeout": "1500"}
    stand.register("short-svc", "127.0.21.20", 8080, source="127.0.21.20", metadata=timers)
    stand.beats("short-svc", "127.0.21.20", 8080, every=1, source="127.0.21.20")
    stand.visible()
    stand.finding(mentions=["127.0.21.20:8080", "1000 ms", "1500 ms", "preserved.heart.beat.timeout=3000"])
    stand.alone()
    stand.register("short-svc", "127.0.21.20", 8080, source="127.0.21.20")
    stand.clears()


@case("SWITCH-BEAT-INTERVAL", "A18", what="the switch clientBeatInterval raised to 20 s")
def the_switch_tells_a_bad_interval(stand):
    stand.start()
    switch(stand, "clientBeatInterval", 20_000)
    stand.visible()
    stand.finding(mentions=["20000"])
    stand.alone()
    switch(stand, "clientBeatInterval", 5_000)
    stand.clears()


def switch(stand, entry, value):
    status, text = stand.nacos("PUT", "/v1/ns/operator/switches", entry=entry, value=value)
    assert status == 200, text


@case("BEAT-LATE-JITTER", "A10", what="a starved client whose gaps vary between 0.5 and 3 s")
def gaps_that_vary(stand):
    stand.start()
    timers = {**TIMERS, "preserved.heart.beat.timeout": "8000", "preserved.ip.delete.timeout": "20000"}
    stand.register("jitter-svc", "127.0.22.20", 8080, source="127.0.22.20", metadata=timers)
    for gap in (0.5, 2, 0.5, 3, 0.5, 2.5):
        stand.beat("jitter-svc", "127.0.22.20", 8080, source="127.0.22.20")
        time.sleep(gap)
    stand.beat("jitter-svc", "127.0.22.20", 8080, source="127.0.22.20")
    stand.visible()
    stand.beats("jitter-svc", "127.0.22.20", 8080, every=EVERY, source="127.0.22.20")
    stand.finding(mentions=["127.0.22.20:8080", "3 late beats"])
    stand.alone()
    stand.clears()


@case("BEAT-INTERVAL-IGNORED", "A12", what="a client that beats evenly at three times its interval")
def a_slow_even_pace(stand):
    stand.start()
    timers = {"preserved.heart.beat.interval": "500", "preserved.heart.beat.timeout": "8000",
              "preserved.ip.delete.timeout": "20000"}
    stand.register("pace-svc", "127.0.23.20", 8080, source="127.0.23.20", metadata=timers)
    beats = stand.beats("pace-svc", "127.0.23.20", 8080, every=1.5, source="127.0.23.20")
    time.sleep(9)
    stand.visible()
    stand.finding(mentions=["127.0.23.20:8080", "1.5 s"])
    stand.alone()
    beats.every = EVERY
    stand.clears()


@case("BEAT-TOO-MANY-SERVICES", "A11", what="one ip:port with 60 services whose beats are late")
def too_many_services_for_one_client(stand):
    stand.start()
    timers = {**TIMERS, "preserved.heart.beat.timeout": "8000", "preserved.ip.delete.timeout": "20000"}
    for n in range(60):
        stand.register(f"many-{n}", "127.0.24.20", 8080, source="127.0.24.20", metadata=timers)
    for gap in (0.2, 2, 0.2, 3, 0.2, 2.5, 0):
        for n in range(60):
            stand.beat(f"many-{n}", "127.0.24.20", 8080, source="127.0.24.20")
        time.sleep(gap)
    stand.visible()
    stand.finding(mentions=["127.0.24.20:8080", "60 services"])
    stand.alone()


@case("BEAT-GAP-FAIL-WAIT", "A13", what="a C++ client that waits 17 s after an error")
def the_cpp_client_waits_too_long(stand):
    stand.start()
    agent = "Nacos-C-Client:v1.1.0"
    timers = {"preserved.heart.beat.interval": "1000", "preserved.heart.beat.timeout": "5000",
              "preserved.ip.delete.timeout": "60000"}
    others(stand, "127.0.25.21")
    stand.register("cpp-svc", "127.0.25.20", 8080, source="127.0.25.20", agent=agent, metadata=timers)
    for gap in (1, 1, 17):
        stand.beat("cpp-svc", "127.0.25.20", 8080, source="127.0.25.20", agent=agent)
        time.sleep(gap)
    stand.beat("cpp-svc", "127.0.25.20", 8080, source="127.0.25.20", agent=agent)
    stand.visible()
    stand.beats("cpp-svc", "127.0.25.20", 8080, every=1, source="127.0.25.20", agent=agent)
    stand.finding(mentions=["127.0.25.20:8080", agent, "17"])
    # While it waits it looks like any client that is gone.
    stand.alone(besides=["CLIENT-GONE"])
    stand.clears()


@case("CLIENT-OBJECTS-PER-ADDRESS", "A06", what="120 gRPC connections from one address")
def very_many_connections(stand):
    import asyncio

    from rack import grpc
    stand.start()
    version = "Nacos-Java-Client:v2.0.3"

    async def hold():
        held = [await grpc.Client.connect(stand.port, version=version) for _ in range(120)]
        stand.visible()
        found = await asyncio.to_thread(stand.finding, mentions=["127.0.0.1", "120", version])
        assert found["severity"] == "info", found
        for client in held:
            await client.close()

    asyncio.run(hold())
    stand.clears()
