"""Clients for faults: gRPC clients from an address of their own, driven from the case's thread; calls that are made again
and again; and a proxy that cuts."""

import asyncio
import concurrent.futures
import json
import select
import socket
import struct
import threading
import time

from rack import grpc

GO, JAVA = "Nacos-Go-Client:v2.2.1", "Nacos-Java-Client:v3.1.0"


class Loop:
    """An event loop in a thread; the clients of one case live in it."""

    def __init__(self, stand):
        self.loop = asyncio.new_event_loop()
        stand.loop = self
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        stand.at_end(self.stop)

    def do(self, what, within=40):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(within)

    def call(self, function, *words):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(*words), done.set()))
        assert done.wait(20)

    def stop(self):
        async def end():
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        try:
            self.do(end(), within=10)
        except concurrent.futures.TimeoutError:
            pass  # a daemon's loop: it ends with this process
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


class Wire(grpc.Client):
    claim = None

    def say(self, kind, body):
        if self.claim and kind == "ConnectionSetupRequest" and not self.transport.is_closing():
            metadata = grpc.field(3, kind.encode()) + grpc.field(8, self.claim.encode())
            message = grpc.field(2, metadata) + grpc.field(3, grpc.field(2, json.dumps(body).encode()))
            self.transport.write(grpc.frame(grpc.DATA, 0, self.stream, struct.pack(">BI", 0, len(message)) + message))
        else:
            super().say(kind, body)

    @classmethod
    async def open(cls, port, source=None, module="naming", version=JAVA, claim=None, host=grpc.HOST, set_up=True,
                   labels=None, on_push=None):
        loop = asyncio.get_running_loop()
        local = (source, 0) if source else None
        _, client = await loop.create_connection(lambda: cls(on_push), host, port, local_addr=local)
        client.claim = claim
        check = await client.call("ServerCheckRequest", {})
        client.id = check["connectionId"]
        if set_up:
            client._open()
            client.say("ConnectionSetupRequest", {"clientVersion": version, "abilityTable": {"a": True}, "tenant": "",
                                                  "labels": {"source": "sdk", "module": module, **(labels or {})}})
            await asyncio.wait_for(client.set_up, grpc.TIMEOUT)
        return client


class Client:
    """One connection that speaks every second, as an SDK does every five, until it is told to be silent. `pushes` gathers
    what was pushed."""

    def __init__(self, stand, loop=None, port=None, speaks=True, **words):
        self.loop = loop = loop or stand.loop or Loop(stand)
        self.pushes = []
        hears = lambda kind, body: self.pushes.append((kind, body))  # noqa: E731
        self.wire = loop.do(Wire.open(port or stand.grpc_port, on_push=hears, **words))
        self.silent = not speaks
        loop.call(lambda: asyncio.ensure_future(self._speak(), loop=loop.loop))

    async def _speak(self):
        while self.wire.alive():
            if not self.silent:
                try:
                    await self.wire.call("HealthCheckRequest", {})
                except (grpc.Gone, asyncio.TimeoutError):
                    return
            await asyncio.sleep(1)

    def register(self, service, ip, port, **more):
        return self.loop.do(self.wire.register(service, ip, port, **more))

    @property
    def id(self):
        return self.wire.id

    def subscribe(self, service, group="DEFAULT_GROUP", namespace="public", clusters="", subscribe=True):
        return self.ask("SubscribeServiceRequest", {"namespace": namespace, "serviceName": service, "groupName": group,
                                                    "subscribe": subscribe, "clusters": clusters})

    def ask(self, kind, body):
        """The answer, a refusal, too."""
        return self.loop.do(self.wire.call(kind, body))

    def close(self):
        """FIN without a deregistration: as the kernel does for a process that is gone."""
        self.loop.do(self.wire.close())

    def abort(self):
        self.loop.call(self.wire.abort)

    def alive(self):
        return self.wire.alive()

    def wait_end(self, within=30):
        end = time.monotonic() + within
        while self.alive():
            assert time.monotonic() < end, "the connection stands"
            time.sleep(0.05)


class Again(threading.Thread):
    """Does something until `.stop()` or the case's end; answers are kept."""

    def __init__(self, stand, what, every=0.5):
        super().__init__(daemon=True)
        self.what, self.every = what, every
        self.answers = []
        self.stopped = threading.Event()
        stand.at_end(self.stop)
        self.start()

    def run(self):
        while not self.stopped.is_set():
            try:
                self.answers.append(self.what())
            except OSError as error:
                self.answers.append((0, str(error)))
            self.stopped.wait(self.every)

    def stop(self):
        self.stopped.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(5)


class Proxy:
    """A TCP proxy in threads. `life`: closes a connection so many seconds after it began. `mute`: swallows everything."""

    def __init__(self, stand, target, life=None, source=None):
        self.target, self.life, self.source = target, life, source
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        stand.at_end(self.listener.close)

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near):
        end = time.monotonic() + self.life if self.life else float("inf")
        source = (self.source, 0) if self.source else None
        with near, socket.create_connection(("127.0.0.1", self.target), 10, source_address=source) as far:
            while time.monotonic() < end:
                ready, _, _ = select.select([near, far], [], [], 0.05)
                for one in ready:
                    try:
                        data = one.recv(65536)
                    except OSError:
                        return
                    if not data:
                        return
                    (far if one is near else near).sendall(data)
