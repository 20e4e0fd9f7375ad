"""The rows about time and failure: the server goes away and comes back, a client freezes, thaws, leaves."""

from .behaviours import (AT_ONCE, BEAT_TIMERS, GROUP, SILENCE_WITHIN, UTF8, addresses, among, equal,
                         exactly, flow, instance)
from .server import HOST


@flow("restart_data", "restart_redo", "restart_push", "crash_data", "crash_redo", "crash_push", "redo_listen",
      "redo_fuzzy")
def restarts(s):
    scene = Scene(s)
    scene.set()
    with s.row("restart_data"):
        code = s.server.terminate()
        s.server.start()
        equal(code, 0, "exit code after SIGTERM")
        scene.durable()
    scene.return_of_the_sdk("restart")
    scene.publish("before the crash")
    with s.row("crash_data"):
        s.server.kill()
        s.server.start()
        scene.durable()
    scene.return_of_the_sdk("crash")
    with s.row("redo_listen"):
        scene.publish("after the crash")
        s.consumer.last("scene", lambda e: e.get("content") == scene.content, "the content published after the crash",
                        within=s.client.redo_within)
    if s.offers("redo_fuzzy"):
        with s.row("redo_fuzzy"):
            scene.fuzzy_after_restart()
    scene.strike()


class Scene:
    """What the SDK holds on the server while the server goes away."""

    def __init__(self, s):
        self.s = s
        self.service = {"service": s.name("scene"), "group": GROUP}
        self.batch = {"service": s.name("scene.batch"), "group": GROUP}
        self.lasting = {"service": s.name("scene.lasting"), "group": GROUP}
        self.key = {"dataId": s.name("scene"), "group": GROUP}
        self.here = instance("10.9.6.1", metadata=UTF8)
        self.there = instance("10.9.6.2")
        self.many = [instance(f"10.9.6.1{number}") for number in range(3)]
        self.port = instance(HOST, port=s.server.port, ephemeral=False, metadata=UTF8)
        self.content = None

    def set(self):
        s = self.s
        s.consumer.call("subscribe", tag="scene-hosts", clusters=s.client.all_clusters, **self.service)
        s.provider.call("register", instance=self.here, **self.service)
        s.consumer.call("register", instance=self.there, **self.service)
        s.consumer.last("scene-hosts", exactly(self.here, self.there), "both before the restart")
        if s.offers("batch_register"):
            s.provider.call("batch_register", instances=self.many, **self.batch)
        s.provider.call("register", instance=self.port, **self.lasting)
        self.publish("before the restart 🦪")
        s.consumer.call("listen", tag="scene", **self.key)
        if s.offers("redo_fuzzy"):
            s.consumer.call("fuzzy_naming", tag="scene-fuzzy", pattern=f"{s.client.name}.redo.*", group=GROUP)

    def publish(self, content):
        """Publishes as an application does while its SDK may still be reconnecting: again, until it is accepted."""
        self.content = content
        self.s.accepted(lambda: self.s.provider.call("publish", content=content, **self.key), f"publishing `{content}`")

    def durable(self):
        """Asked the moment the server says that it is ready, before any SDK can have repaired anything."""
        server = self.s.server
        equal(server.config(self.key["dataId"], GROUP), self.content, "the config")
        kept = server.hosts(self.lasting["service"], GROUP)
        equal([(host["ip"], host["port"], host["ephemeral"], host["metadata"]) for host in kept],
              [(HOST, server.port, False, UTF8)], "the persistent instance")

    def return_of_the_sdk(self, after):
        s = self.s
        with s.row(f"{after}_redo"):
            s.eventually(lambda: addresses(s.server.hosts(self.service["service"], GROUP)) == ["10.9.6.1", "10.9.6.2"],
                         "provider and consumer registered again")
            if s.offers("batch_register"):
                s.eventually(lambda: len(s.server.hosts(self.batch["service"], GROUP)) == 3,
                             "the batch registered again")
        with s.row(f"{after}_push"):
            self.here = dict(self.here, metadata={"after": after})
            s.accepted(lambda: s.provider.call("register", instance=self.here, **self.service), "registering again")
            s.consumer.last("scene-hosts", exactly(self.here, self.there), "a change after the restart",
                            within=s.client.redo_within)

    def fuzzy_after_restart(self):
        s = self.s
        late = {"service": s.name("redo.late"), "group": GROUP}
        s.provider.call("register", instance=self.here, **late)
        s.consumer.some("scene-fuzzy", lambda e: e["change"] == ["ADD_SERVICE", late["service"]], "the new service",
                        within=s.client.redo_within)
        s.provider.call("deregister", instance=self.here, **late)

    def strike(self):
        s = self.s
        s.provider.call("deregister", instance=self.port, **self.lasting)
        s.consumer.call("unsubscribe", tag="scene-hosts", clusters=s.client.all_clusters, **self.service)


@flow("silent_expiry", "silent_return", "shutdown")
def silence(s):
    here = {"service": s.name("silence"), "group": GROUP}
    timers = BEAT_TIMERS if s.client.beats else {}
    frozen = instance("10.9.7.1", metadata=timers)
    neighbour = instance("10.9.7.2", metadata=timers)
    s.consumer.call("subscribe", tag="silence", clusters=s.client.all_clusters, **here)
    s.provider.call("register", instance=frozen, **here)
    s.consumer.call("register", instance=neighbour, **here)
    s.consumer.last("silence", exactly(frozen, neighbour), "both before the silence")
    try:
        with s.row("silent_expiry"):
            s.provider.freeze()
            if s.client.beats:
                s.consumer.some("silence", among("10.9.7.1", healthy=False), "unhealthy first", within=SILENCE_WITHIN)
            s.consumer.last("silence", exactly(neighbour), "the neighbour alone", within=SILENCE_WITHIN)
            equal(addresses(s.server.hosts(here["service"], GROUP)), ["10.9.7.2"], "the server's own list")
    finally:
        s.provider.thaw()
    with s.row("silent_return"):
        s.consumer.last("silence", exactly(frozen, neighbour), "both again", within=SILENCE_WITHIN)
    with s.row("shutdown"):
        if s.client.beats:
            # The shutdown of the HTTP clients sends nothing: applications deregister before they leave.
            s.provider.call("deregister", instance=frozen, **here)
        s.provider.leave()
        s.consumer.last("silence", exactly(neighbour), "the neighbour alone", within=AT_ONCE)
