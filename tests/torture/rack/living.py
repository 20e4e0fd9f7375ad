"""Clients that are alive and say so, over both protocols: whatever befalls the server, none of theirs may expire."""

import asyncio
import json
import threading
import time

from . import call, grpc

INTERVAL = 0.4        # seconds between two beats of an instance
TIMEOUT, DELETE = 3000, 5000
TIMERS = {"preserved.heart.beat.interval": "500", "preserved.heart.beat.timeout": str(TIMEOUT),
          "preserved.ip.delete.timeout": str(DELETE)}
# gRPC clients are asked often whether they are there, and nothing holds removals back that would be wrong.
DETECTION = ("nacre.grpc.detection.idle=1500", "nacre.grpc.detection.timeout=1500", "nacre.naming.brake.enabled=false")
SERVICE = "living"


class Living:
    """`beats` HTTP instances and `connections` gRPC clients with one instance each, until the `with` ends."""

    def __init__(self, server, beats=20, connections=10):
        self.server, self.port = server, server.port
        self.beats, self.connections = beats, connections
        self.stopped = threading.Event()
        self.silent = set()
        self.rounds = 0
        self.begun = threading.Event()
        self.failures = []
        self.loop = asyncio.new_event_loop()
        self.clients = []

    def __enter__(self):
        self.beating = threading.Thread(target=self._beat, daemon=True)
        self.connected = threading.Thread(target=self._connect, daemon=True)
        self.beating.start()
        self.connected.start()
        assert self.begun.wait(call.TIMEOUT), f"the clients did not get in: {self.failures}"
        self.wait_all()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.beating.join()
        self.connected.join()

    def wait_all(self, within=20):
        """Until everybody is listed."""
        end = time.monotonic() + within
        while len(self.listed()) < self.beats + self.connections - len(self.silent):
            assert time.monotonic() < end, f"listed are {len(self.listed())}: {self.failures[:3]}"
            time.sleep(0.05)

    def _beat(self):
        ask = call.Caller(self.port)
        while not self.stopped.is_set():
            for number in range(self.beats):
                if number in self.silent or self.stopped.is_set():
                    continue
                beat = {"ip": "192.0.2.1", "port": number + 1, "serviceName": f"DEFAULT_GROUP@@{SERVICE}",
                        "metadata": TIMERS}
                try:
                    answer = ask("PUT", "/v1/ns/instance/beat", {"serviceName": SERVICE, "beat": json.dumps(beat)})
                    if answer.status != 200:
                        self.failures.append(f"a beat was answered {answer.status}: {answer.text[:200]}")
                except OSError:
                    pass  # nobody is there to hear it
            self.rounds += 1
            self.stopped.wait(INTERVAL)
        ask.close()

    def _connect(self):
        async def live():
            for number in range(self.connections):
                client = await grpc.Client.connect(self.port + 1000)
                await client.register(SERVICE, "192.0.2.2", number + 1)
                self.clients.append(client)
            self.begun.set()
            while not self.stopped.is_set():
                await asyncio.sleep(0.05)
            for client in self.clients:
                client.abort()
        try:
            self.loop.run_until_complete(live())
        except Exception as error:
            self.failures.append(repr(error))

    def listed(self):
        """Addresses of the healthy."""
        answer = self.server.get("/v1/ns/instance/list", serviceName=SERVICE, healthyOnly="true")
        return {(host["ip"], host["port"]) for host in answer.json()["hosts"]}

    def harm(self):
        """What happened to clients that were alive all the time; empty is right."""
        found = self.failures[:5]
        found += [f"the connection of {client.id} was lost: {client.ended.result()}"
                 for client in self.clients if not client.alive()]
        dead = {f"192.0.2.1:{number + 1}:DEFAULT" for number in self.silent}
        for event in self.server.events(kind="instanceUnhealthy,instanceRemoved,clientDisconnected", service=SERVICE):
            if event["subject"].get("instance") not in dead:
                found.append(event["text"])
        expected = {("192.0.2.1", number + 1) for number in range(self.beats) if number not in self.silent}
        expected |= {("192.0.2.2", number + 1) for number in range(self.connections)}
        missing = expected - self.listed()
        if missing:
            found.append(f"not listed are {sorted(missing)[:5]}")
        return found

    def fall_silent(self, number):
        self.silent.add(number)
