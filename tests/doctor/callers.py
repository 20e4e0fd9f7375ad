"""Clients for faults: gRPC clients that live on a thread of their own, and calls that are made again and again."""

import asyncio
import threading

from rack import grpc


class Grpc:
    """One gRPC client; calls block. `pushes` gathers what was pushed."""

    def __init__(self, stand, module="naming", version="Nacos-Java-Client:v2.3.2"):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.pushes = []
        hears = lambda kind, body: self.pushes.append((kind, body))  # noqa: E731
        self.client = self.run(grpc.Client.connect(stand.port + 1000, module=module, on_push=hears, version=version))
        stand.at_end(self.end)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def ask(self, kind, body):
        """The answer, a refusal, too."""
        return self.run(self.client.call(kind, body))

    def register(self, service, ip, port, **more):
        return self.run(self.client.register(service, ip, port, **more))

    def subscribe(self, service, group="DEFAULT_GROUP", namespace="public", clusters="", subscribe=True):
        return self.ask("SubscribeServiceRequest", {"namespace": namespace, "serviceName": service, "groupName": group,
                                                    "subscribe": subscribe, "clusters": clusters})

    def close(self):
        self.run(self.client.close())

    def end(self):
        if not self.loop.is_running():
            return
        try:
            self.loop.call_soon_threadsafe(self.client.abort)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(5)


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
