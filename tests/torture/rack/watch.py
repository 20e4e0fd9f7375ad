"""Watch integrity (F9): subscribers that lose their connections, and a server that is killed, while things change.

Every subscriber does what an SDK does: it listens, is told, fetches, listens again; after a reconnect it says what it holds.
*Lost*: a change that a subscriber does not hold soon after. *Reordered*: something older than what it held. *Duplicated*: told
twice of one change over a connection that stood still all the time.
"""

import asyncio
import collections
import hashlib
import random
import tempfile
import time

from . import grpc
from .process import Server

CONFIGS, SERVICES = 6, 4
GROUP = "DEFAULT_GROUP"
FUZZY = "public>>DEFAULT_GROUP>>fuzzy*"
WITHIN = 20            # seconds in which a change must have arrived, reconnects included
PAUSE = (0.01, 0.2)    # seconds between two tries to connect


class Link:
    """A client that comes back whenever its connection ends."""

    module = "naming"

    def __init__(self, rig):
        self.rig, self.client, self.since = rig, None, 0
        self.ready = False

    async def run(self):
        while not self.rig.over:
            try:
                self.client = await grpc.Client.connect(self.rig.port + 1000, self.module, self.told)
                await self.resync()
                self.since, self.ready = self.rig.round, True
                await self.client.ended
            except (OSError, asyncio.TimeoutError):
                pass
            except AssertionError as error:
                self.rig.complain("refused", str(error)[:300])
            self.ready = False
            if self.client:
                self.client.abort()
            await asyncio.sleep(self.rig.random.uniform(*PAUSE))

    def told(self, kind, body):
        """A push."""

    async def resync(self):
        """After every connect."""

    def cut(self):
        if self.client and self.client.alive():
            self.rig.reconnects += 1
            self.client.abort() if self.rig.random.random() < 0.5 else self.client.transport.close()


class Subscriber(Link):
    """Counts what it is told and keeps what it holds."""

    def __init__(self, rig):
        super().__init__(rig)
        self.events = collections.Counter()
        self.held = {}
        self.fuzzy = set()

    def hold(self, key, version):
        if version < self.held.get(key, 0):
            self.rig.complain("reordered", f"{key} went back from {self.held[key]} to {version}")
        self.held[key] = version

    def steady(self):
        return self.ready and self.since < self.rig.round - 1

    def fuzzy_change(self, key, change):
        """Adding what is there or removing what is not is harmless and is no change."""
        if change.startswith("DELETE"):
            self.fuzzy.discard(key)
        else:
            self.fuzzy.add(key)

    async def watch_fuzzily(self, kind):
        await self.client.ask(kind, {"groupKeyPattern": FUZZY, "receivedGroupKeys": sorted(self.fuzzy), "watchType": "WATCH",
                                     "initializing": not self.fuzzy, "namespace": "public"})


class ConfigListener(Subscriber):
    module = "config"

    def __init__(self, rig):
        super().__init__(rig)
        self.md5 = {}
        self.asked = collections.Counter()
        self.tasks = set()

    async def resync(self):
        contexts = [{"dataId": name, "group": GROUP, "tenant": "", "md5": self.md5.get(name, "")} for name in self.rig.configs]
        answer = await self.client.ask("ConfigBatchListenRequest", {"listen": True, "configListenContexts": contexts})
        for changed in answer.get("changedConfigs") or []:
            await self.fetch(changed["dataId"])
        await self.watch_fuzzily("ConfigFuzzyWatchRequest")

    def told(self, kind, body):
        if kind == "ConfigChangeNotifyRequest":
            self.events[body["dataId"]] += 1
            self.later(self.fetch(body["dataId"]))
        elif kind == "ConfigFuzzyWatchChangeNotifyRequest":
            self.events["fuzzy " + body["groupKey"].split("+")[0]] += 1
            self.fuzzy_change(body["groupKey"], body["changeType"])
        elif kind == "ConfigFuzzyWatchSyncRequest":
            for context in body.get("contexts") or []:
                self.fuzzy_change(context["groupKey"], context["changedType"])

    def later(self, work):
        async def quietly():
            try:
                await work
            except (OSError, asyncio.TimeoutError):
                pass  # the next connect says what is held
        task = asyncio.get_running_loop().create_task(quietly())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def fetch(self, name):
        """Fetches until the server says that what is held is the newest; one fetch of a config at a time."""
        self.asked[name] += 1
        if self.asked[name] > 1:
            return
        try:
            while self.asked[name]:
                self.asked[name] = 1
                text, md5 = await self.client.config(name, GROUP)
                if text is not None:
                    if hashlib.md5(text.encode()).hexdigest() != md5:
                        self.rig.complain("lost", f"{name}: content and md5 do not fit")
                    self.hold(name, int(text.split()[0]))
                    self.md5[name] = md5
                answer = await self.client.listen(name, GROUP, self.md5.get(name, ""))
                if answer.get("changedConfigs"):
                    self.asked[name] += 1
                self.asked[name] -= 1
        finally:
            self.asked[name] = 0


class ServiceSubscriber(Subscriber):
    def __init__(self, rig):
        super().__init__(rig)
        self.stamp = {}

    async def resync(self):
        self.stamp = {}
        for name in self.rig.services:
            service = (await self.client.subscribe(name))["serviceInfo"]
            # A push may overtake the answer: they are on streams of their own. SDKs leave the older one out, too.
            if service["lastRefTime"] >= self.stamp.get(name, 0):
                self.take(service)
        await self.watch_fuzzily("NamingFuzzyWatchRequest")

    def told(self, kind, body):
        if kind == "NotifySubscriberRequest":
            self.events[body["serviceInfo"]["name"]] += 1
            self.take(body["serviceInfo"])
        elif kind == "NamingFuzzyWatchChangeNotifyRequest":
            self.events["fuzzy " + body["serviceKey"].split("@@")[-1]] += 1
            self.fuzzy_change(body["serviceKey"], body["changedType"])
        elif kind == "NamingFuzzyWatchSyncRequest":
            for context in body.get("contexts") or []:
                self.fuzzy_change(context["serviceKey"], context["changedType"])

    def take(self, service):
        name = service["name"].split("@@")[-1]
        if service["lastRefTime"] < self.stamp.get(name, 0):
            self.rig.complain("reordered", f"the stamp of {name} went back")
        self.stamp[name] = service["lastRefTime"]
        # After a kill the list may be empty until the provider is back; that is no older state.
        for host in service["hosts"]:
            self.hold(name, int(host["metadata"]["v"]))


class Provider(Link):
    """Publishes one instance of each service, whose metadata holds the version."""

    def __init__(self, rig):
        super().__init__(rig)
        self.instances = {}

    async def resync(self):
        for name in list(self.instances):
            await self.put(name)

    async def put(self, name):
        if name in self.instances:  # it may have been removed while others were put
            await self.client.register(name, "192.0.2.1", 80, metadata={"v": str(self.instances[name])})

    async def change(self, name, version):
        """Until it is acknowledged; version `None` removes the service's instance."""
        if version is None:
            del self.instances[name]
        else:
            self.instances[name] = version
        await self.insist(lambda: self.put(name) if version is not None else self.client.register(
            name, "192.0.2.1", 80, kind="deregisterInstance"))

    async def insist(self, work):
        end = time.monotonic() + WITHIN
        while True:
            try:
                while not self.ready:
                    await asyncio.sleep(0.005)
                    if time.monotonic() > end:
                        raise ConnectionError("the server does not come back")
                return await work()
            except (OSError, asyncio.TimeoutError):
                if time.monotonic() > end:
                    raise
                # A connection that is gone refuses without waiting, and whoever makes the next one needs a turn.
                await asyncio.sleep(0.005)

    async def publish(self, name, version):
        content = f"{version} {'x' * (version % 50)}"
        await self.insist(lambda: self.client.ask("ConfigPublishRequest", {
            "dataId": name, "group": GROUP, "tenant": "", "content": content, "additionMap": {}}))

    async def remove(self, name):
        await self.insist(lambda: self.client.ask("ConfigRemoveRequest", {"dataId": name, "group": GROUP, "tenant": ""}))


class Rig:
    def __init__(self, binary, home, seed, subscribers):
        self.binary, self.home = binary, home
        self.random = random.Random(f"{seed}/watch")
        self.configs = {f"config{n}": 0 for n in range(CONFIGS)}
        self.services = {f"service{n}": 0 for n in range(SERVICES)}
        self.fuzzy_configs, self.fuzzy_services = set(), set()
        self.round = self.version = 0
        self.over = False
        self.reconnects = self.kills = self.deliveries = self.changes = 0
        self.found = collections.defaultdict(list)
        self.server = self.port = None
        self.provider = Provider(self)
        self.listeners = [ConfigListener(self) for _ in range(subscribers)]
        self.subscribers = [ServiceSubscriber(self) for _ in range(subscribers)]

    def complain(self, kind, text):
        self.found[kind].append(text)

    def start(self):
        # Without the delay in which changes of one service are gathered each of them must be told by itself.
        self.server = Server(self.binary, self.home, port=self.port or 0).wait_ready()
        self.port = self.server.port

    async def kill(self):
        """kill -9, and the same port again."""
        self.kills += 1
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.start)

    def everybody(self):
        return [*self.listeners, *self.subscribers]

    def behind(self):
        """Who does not hold what is true, in words."""
        late = []
        for listeners, truth, fuzzy in ((self.listeners, self.configs, {f"{name}+{GROUP}" for name in self.fuzzy_configs}),
                                        (self.subscribers, self.services,
                                         {f"public@@{GROUP}@@{name}" for name in self.fuzzy_services})):
            for one in listeners:
                wrong = [f"{key} is {version}, held is {one.held.get(key)}" for key, version in truth.items()
                         if version and one.held.get(key) != version]
                # The default namespace is written in more than one way.
                held = {key.removesuffix("+public").removesuffix("+") for key in one.fuzzy}
                if held != fuzzy:
                    wrong.append(f"fuzzy: too many {sorted(held - fuzzy)[:3]}, missing {sorted(fuzzy - held)[:3]}")
                late += wrong
        return late

    async def settle(self):
        """Until everybody holds what is true; what is still missing then is lost."""
        end = time.monotonic() + WITHIN
        while (late := self.behind()) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        if late:
            self.complain("lost", f"round {self.round}: {len(late)}: {'; '.join(late[:3])}")
        return not late

    async def change(self):
        """One change of each kind, at once; answers the keys of the events that each must cause."""
        self.version += 1
        config, service = self.random.choice(list(self.configs)), self.random.choice(list(self.services))
        work = [self.provider.publish(config, self.version), self.provider.change(service, self.version)]
        self.configs[config] = self.services[service] = self.version
        told = {"config": [config], "naming": [service]}
        for kind, names, add, remove in (
                ("config", self.fuzzy_configs, lambda name: self.provider.publish(name, 1), self.provider.remove),
                ("naming", self.fuzzy_services, lambda name: self.provider.change(name, 1),
                 lambda name: self.provider.change(name, None))):
            if len(names) > 8 or names and self.random.random() < 0.4:
                name = self.random.choice(sorted(names))
                names.discard(name)
                work.append(remove(name))
            else:
                name = f"fuzzy{self.version}"
                names.add(name)
                work.append(add(name))
            told[kind].append(f"fuzzy {name}")
        self.changes += len(work)
        await asyncio.gather(*work)
        return told

    async def paced(self, rounds):
        """One change of each kind after the other; those whose connection stands are told of each exactly once."""
        for _ in range(rounds):
            self.round += 1
            for one in self.everybody():
                one.events.clear()
            steady = [one for one in self.everybody() if one.steady()]
            if self.round % 4 == 0:
                for one in self.random.sample(self.everybody(), len(self.everybody()) // 4):
                    one.cut()
            killed = self.round % 25 == 0
            if killed:
                killing = asyncio.create_task(self.kill())
            told = await self.change()
            if killed:
                await killing
            if not await self.settle():
                return
            # Time for what should not come.
            await asyncio.sleep(0.05)
            for one in steady:
                if not one.steady():
                    continue
                expected = collections.Counter(told["config" if one in self.listeners else "naming"])
                self.deliveries += sum(expected.values())
                for key in one.events.keys() | expected.keys():
                    if one.events[key] > expected[key]:
                        self.complain("duplicated", f"round {self.round}: {key} was told {one.events[key]} times")
                    elif one.events[key] < expected[key]:
                        self.complain("lost", f"round {self.round}: {key} was not told")

    async def storm(self, seconds):
        """Changes as fast as they are acknowledged, connections cut all the time; at the end everybody holds the truth."""
        end = time.monotonic() + seconds
        next_kill = time.monotonic() + seconds / 3
        while time.monotonic() < end:
            self.round += 1
            await self.change()
            if self.random.random() < 0.3:
                self.random.choice(self.everybody()).cut()
            if time.monotonic() > next_kill:
                next_kill += seconds / 3
                await self.kill()
        await self.settle()

    async def run(self, rounds, seconds):
        self.start()
        tasks = [asyncio.create_task(one.run()) for one in [self.provider, *self.everybody()]]
        try:
            while not all(one.ready for one in [self.provider, *self.everybody()]):
                await asyncio.sleep(0.01)
            await self.paced(rounds)
            await self.storm(seconds)
            ended = [task for task in tasks if task.done()]
            assert not ended, f"a client gave up: {ended[0]}"
        finally:
            self.over = True
            self.server.kill()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def run(binary, seed, rounds, seconds, subscribers=20):
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nacre-watch-") as home:
        rig = Rig(binary, home, seed, subscribers)

        async def all_of_it():
            await rig.run(rounds, seconds)
        asyncio.run(all_of_it())
    return {"seed": seed, "rounds": rig.round, "changes": rig.changes, "subscribers": 2 * subscribers,
            "reconnects": rig.reconnects, "kills": rig.kills, "deliveries": rig.deliveries,
            "lost": len(rig.found["lost"]), "duplicated": len(rig.found["duplicated"]),
            "reordered": len(rig.found["reordered"]), "refused": len(rig.found["refused"]), "seconds": round(time.monotonic() - begun, 1),
            "complaints": [f"{kind}: {text}" for kind, texts in rig.found.items() for text in texts][:40]}
