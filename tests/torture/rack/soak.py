"""A day's churn in minutes: clients connect, redeploy, die. Memory, file handles, threads and tasks stay flat, nobody who is
alive expires, and at the end the registry is the model.

Clients are gRPC connections and HTTP beaters of our own, which obey to the millisecond and cost little, and real SDKs of
tests/compat beside them. After a third of the time the server is restarted, as an operator does it: clients come back by
themselves, and nothing of it is anybody's fault.
"""

import asyncio
import json
import os
import random
import re
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse

from . import grpc, results
from .living import TIMERS
from .process import Server

SERVICES, CONFIGS = 50, 20
GROUP = "DEFAULT_GROUP"
BEAT = 2.0                # seconds between two beats
TIMEOUT = 8.0             # of silence
HTTP_TIMERS = {"preserved.heart.beat.interval": "2000", "preserved.heart.beat.timeout": "8000",
               "preserved.ip.delete.timeout": "12000"}
# Those of the SDKs: the one for Node sends its first beat up to ten seconds after the registration, whatever the metadata say.
SDK_TIMERS = {**HTTP_TIMERS, "preserved.heart.beat.timeout": "12000", "preserved.ip.delete.timeout": "15000"}
GONE_WITHIN = 30          # seconds in which the last dead client is out of every list
# A small journal and a small memory of the doctor are full soon, so that what grows afterwards is neither. Nothing holds
# back what would be wrong.
SETTINGS = ("nacre.journal.memory=2097152", "nacre.doctor.subjects=2000", "nacre.naming.brake.enabled=false", "nacre.log.checkpoint-entries=1000",
            "nacre.grpc.detection.idle=5000", "nacre.grpc.detection.timeout=4000")
SAMPLE = 2.0              # seconds
DETECTION = 4.0           # seconds in which a gRPC client must answer
LAG = 1.0                 # seconds in which this process could not run: nobody's fault but the machine's
MARGIN = 0.5              # between a beat's sending and its arrival
RESTARTS_FROM = 60        # seconds: shorter runs have no time for a restart
BACK = 20.0               # seconds after a restart in which calls may still fail and clients come back
MOST_LATE = 0.02          # of all deployments; with more of them the run proves nothing
ROOM = {"memory": 1 << 20}  # what may come besides the share; 8 of anything else
SDKS = ("rust", "go-2.3", "python-3.2", "node", "java-3.2")
assert TIMERS.keys() == HTTP_TIMERS.keys()


class Http:
    """One keep-alive connection, asynchronous."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def __call__(self, method, path, form):
        words = urllib.parse.urlencode(form)
        target, body = (f"{path}?{words}", b"") if method in ("GET", "DELETE") else (path, words.encode())
        head = (f"{method} /nacos{target} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n\r\n")
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(grpc.HOST, self.port)
        try:
            self.writer.write(head.encode() + body)
            answer = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), grpc.TIMEOUT)
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", answer)
            return int(answer.split(b" ", 2)[1]), await self.reader.readexactly(int(length.group(1)))
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            self.close()
            raise ConnectionError(str(error)) from None

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None


class Soak:
    def __init__(self, servers, seconds, clients, seed, healthy=False):
        self.servers = servers     # the last is the one that runs; those before were stopped
        self.port, self.seconds, self.clients = servers[-1].port, seconds, clients
        self.healthy = healthy     # nobody dies in silence: then the doctor has nothing to say
        self.findings = {}         # id -> finding
        self.random = random.Random(f"{seed}/soak")
        self.life = max(10.0, min(60.0, seconds / 3))    # mean seconds between two deployments of a client
        self.alive = {}            # "ip:port" -> service
        self.beaten = {}           # "ip:port" of a beater -> when its last beat was sent
        self.late = set()          # clients that did not keep time themselves: this machine was too busy to judge them
        self.lagged = 0            # when this process last could not run for LAG
        self.sdk_addresses = set()
        self.churning = True
        self.leaving = asyncio.Event()
        self.serial = 0
        self.complaints = []
        self.counts = {"deployed": 0, "redeployed": 0, "crashed": 0, "silent": 0, "pushes": 0, "beats": 0,
                       "configChanges": 0, "sdkLives": 0}
        self.truth = {}            # dataId -> content
        self.listened = {}         # client -> {dataId: content}
        self.samples = []
        self.sdk_failures = []
        self.seen = 0              # journal position
        self.restarting, self.ready_at = False, 0.0
        self.forgotten = set()     # addresses that beat before a restart: the server asks them to register again

    @property
    def server(self):
        return self.servers[-1]

    def complain(self, text):
        if len(self.complaints) < 50:
            self.complaints.append(text)

    def address(self):
        """Never the same twice."""
        self.serial += 1
        return f"10.{self.serial >> 16 & 255}.{self.serial >> 8 & 255}.{self.serial & 255}", 8080

    def born(self, service, ip, port):
        self.alive[f"{ip}:{port}"] = service
        self.counts["deployed"] += 1

    def dies(self, ip, port, how):
        self.alive.pop(f"{ip}:{port}", None)
        self.beaten.pop(f"{ip}:{port}", None)
        self.counts[how] += 1

    async def lived(self, ended=None):
        """Waits for the end of a life; `True` when the churn goes on and the client dies by its own will."""
        waits = [asyncio.ensure_future(self.leaving.wait())]
        if ended is not None:
            waits.append(asyncio.shield(ended))
        span = self.random.expovariate(1 / self.life)
        try:
            await asyncio.wait(waits, timeout=span, return_when=asyncio.FIRST_COMPLETED)
            while not self.churning and not self.leaving.is_set() and not (ended and ended.done()):
                await asyncio.wait(waits, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waits[0].cancel()

    # -- clients of our own

    async def grpc_client(self, number):
        """Deploys again and again: one connection with one instance, one subscription, one listened config."""
        while not self.leaving.is_set():
            service = f"soak{number % SERVICES}"
            data_id, held = f"soak{number % CONFIGS}", {}
            (ip, port), fetching = self.address(), set()

            def told(kind, body, held=held, fetching=fetching):
                self.counts["pushes"] += 1
                if kind == "ConfigChangeNotifyRequest":
                    task = asyncio.ensure_future(self.fetch(client, body["dataId"], held))
                    fetching.add(task)
                    task.add_done_callback(fetching.discard)
            try:
                client = await grpc.Client.connect(self.port + 1000, on_push=told, unread=("NotifySubscriberRequest",))
                await client.register(service, ip, port)
                self.born(service, ip, port)
                await client.subscribe(f"soak{(number + 7) % SERVICES}")
                await client.listen(data_id, GROUP, "")
                await self.fetch(client, data_id, held)
                self.listened[number] = held
                await self.lived(client.ended)
                if not client.alive():
                    self.judge_cut(f"{ip}:{port}", f"the connection of {ip} was cut: {client.ended.result()}")
                    if self.is_coming_back():
                        raise ConnectionError("the server was restarted")
                await self.grpc_end(client, service, ip, port)
            except (OSError, AssertionError, asyncio.TimeoutError) as error:
                self.judge_cut(f"{ip}:{port}", f"a gRPC client failed: {type(error).__name__} {error}")
                self.alive.pop(f"{ip}:{port}", None)
            self.listened.pop(number, None)
            await self.between_lives()

    async def grpc_end(self, client, service, ip, port):
        dice = self.random.random()
        if dice < 0.4:
            self.dies(ip, port, "redeployed")
            await client.register(service, ip, port, kind="deregisterInstance")
            await client.close()
        elif dice < 0.7:
            self.dies(ip, port, "crashed")
            client.abort()
        else:
            self.dies(ip, port, "crashed")
            await client.close()

    async def fetch(self, client, data_id, held):
        try:
            text, md5 = await client.config(data_id, GROUP)
            if text is not None:
                held[data_id] = text
                again = await client.listen(data_id, GROUP, md5)
                if again.get("changedConfigs"):
                    await self.fetch(client, data_id, held)
        except (OSError, asyncio.TimeoutError):
            pass  # it died meanwhile

    async def http_client(self, number):
        """As 1.x: registers, beats, asks for a list now and then; dies in silence or says good-bye."""
        ask = Http(self.port)
        await asyncio.sleep(self.random.random() * BEAT)
        while not self.leaving.is_set():
            service, (ip, port) = f"soak{number % SERVICES}", self.address()
            instance = {"serviceName": service, "ip": ip, "port": port, "metadata": json.dumps(HTTP_TIMERS)}
            life = asyncio.ensure_future(self.lived())
            try:
                status, text = await ask("POST", "/v1/ns/instance", instance)
                assert status == 200, f"registration answered {status} {text[:100]}"
                self.born(service, ip, port)
                self.beaten[f"{ip}:{port}"] = time.monotonic()
                if self.restarting:
                    # Answered by the server that is going: the next one knows nothing of it.
                    self.forgotten.add(f"{ip}:{port}")
                beat = {"ip": ip, "port": port, "serviceName": f"DEFAULT_GROUP@@{service}", "cluster": "DEFAULT",
                        "weight": 1.0, "metadata": HTTP_TIMERS}
                while not life.done():
                    self.beats(f"{ip}:{port}")
                    try:
                        status, text = await ask("PUT", "/v1/ns/instance/beat", {"serviceName": service, "ip": ip, "port": port})
                    except OSError:
                        if not self.is_coming_back():
                            raise
                        await asyncio.wait([life], timeout=BEAT)
                        continue
                    code = json.loads(text).get("code") if status == 200 else status
                    if code == 20404 and f"{ip}:{port}" in self.late | self.forgotten:
                        self.forgotten.discard(f"{ip}:{port}")
                        await ask("PUT", "/v1/ns/instance/beat", {"serviceName": service, "beat": json.dumps(beat)})
                    elif code != 10200 and not self.is_coming_back():
                        self.complain(f"the beat of {ip}, which is alive, was answered {code}: {text[:100]}")
                    if self.random.random() < 0.1:
                        await ask("GET", "/v1/ns/instance/list", {"serviceName": f"soak{(number + 3) % SERVICES}"})
                    await asyncio.wait([life], timeout=BEAT)
                if self.healthy or self.random.random() < 0.5:
                    self.dies(ip, port, "redeployed")
                    await ask("DELETE", "/v1/ns/instance", instance)
                else:
                    self.dies(ip, port, "silent")
                    ask.close()
            except (OSError, AssertionError, ValueError) as error:
                if not self.is_coming_back():
                    self.complain(f"an HTTP client failed: {type(error).__name__} {error}")
                self.dies(ip, port, "silent")
                ask.close()
            finally:
                life.cancel()
            await self.between_lives()
        ask.close()

    def beats(self, address):
        now = time.monotonic()
        if now - self.beaten.get(address, now) > TIMEOUT - MARGIN:
            self.late.add(address)
        self.beaten[address] = now
        self.counts["beats"] += 1

    def judge_cut(self, address, text):
        """A connection that the server ended: right if this process did not answer for long."""
        if self.is_coming_back():
            return
        if time.monotonic() - self.lagged < 3 * DETECTION:
            self.late.add(address)
        else:
            self.complain(text)

    async def watch_ourselves(self):
        while not self.leaving.is_set():
            begun = time.monotonic()
            await asyncio.sleep(0.1)
            if time.monotonic() - begun > LAG:
                self.lagged = time.monotonic()

    # -- the restart

    def is_coming_back(self):
        return self.restarting or time.monotonic() - self.ready_at < BACK

    async def restart(self):
        """Once, in the midst of it. What the journal has of it is not judged: that everybody was cut off is so."""
        if self.seconds < RESTARTS_FROM:
            return
        await asyncio.sleep(self.seconds / 3)
        self.forgotten = set(self.beaten)
        self.restarting = True
        old = self.server
        if await asyncio.to_thread(old.stop) != 0:
            self.complain("the server did not end well when it was restarted")
        self.complain_of_log()
        self.servers.append(old.again())
        await asyncio.to_thread(self.server.wait_ready)
        ask = Http(self.port)
        self.seen = await self.newest(ask)
        ask.close()
        self.restarting, self.ready_at = False, time.monotonic()

    async def newest(self, ask):
        status, text = await ask("GET", "/v3/admin/diagnosis/events", {"limit": 1})
        assert status == 200, text[:200]
        return max([event["seq"] for event in json.loads(text)["data"]["events"]], default=0)

    def complain_of_log(self):
        for line in self.server.complaints():
            self.complain(f"the server's log: {line[:300]}")

    async def between_lives(self):
        try:
            await asyncio.wait_for(self.leaving.wait(), self.random.random())
        except asyncio.TimeoutError:
            pass

    # -- what goes on beside them

    async def publisher(self):
        client, number = None, 0
        while self.churning or number < CONFIGS:
            data_id = f"soak{(number + 1) % CONFIGS}"
            content = f"{number + 1} " + "x" * self.random.randrange(2000)
            try:
                client = client or await grpc.Client.connect(self.port + 1000, "config")
                await client.ask("ConfigPublishRequest", {"dataId": data_id, "group": GROUP, "tenant": "", "content": content})
            except (OSError, AssertionError, asyncio.TimeoutError):
                if not self.is_coming_back():
                    raise
                client = None
                await asyncio.sleep(0.5)
                continue
            number += 1
            self.truth[data_id] = content
            self.counts["configChanges"] += 1
            await asyncio.sleep(0.5 if number > CONFIGS else 0)
        await client.close()

    async def watch_journal(self, ask):
        """Every removal in the journal must be of somebody who had died."""
        kinds = "instanceRemoved,instanceUnhealthy,clientDisconnected"
        query = {"kind": kinds, "after": self.seen, "limit": 1000}
        status, text = await ask("GET", "/v3/admin/diagnosis/events", query)
        assert status == 200, text[:200]
        events = json.loads(text)["data"]["events"]
        if len(events) == 1000:
            self.complain("more events came than one page holds: some were not judged")
        for event in events:
            self.seen = max(self.seen, event["seq"])
            identity = event["subject"].get("instance")
            address = identity.rsplit(":", 1)[0] if identity else None
            if address not in self.alive:
                continue
            if time.monotonic() - self.beaten.get(address, time.monotonic()) > TIMEOUT - MARGIN:
                self.late.add(address)
            if address in self.sdk_addresses and "closed by the client" in event["text"]:
                self.sdk_failures.append(event["text"])
            elif address not in self.late:
                self.complain(f"false expiry: {event['text']}")

    async def watch_findings(self, ask):
        """A healthy system has none that anybody must look at."""
        status, text = await ask("GET", "/v3/admin/diagnosis/findings", {"severity": "warning"})
        assert status == 200, text[:200]
        for finding in json.loads(text)["data"]["findings"]:
            if finding["id"] not in self.findings and time.monotonic() - self.lagged > 3 * DETECTION:
                self.findings[finding["id"]] = finding
                self.complain(f"false finding {finding['code']}: {finding['cause']}")

    async def observe(self):
        ask = Http(self.port)
        self.seen = await self.newest(ask)
        begun = time.monotonic()
        while not self.leaving.is_set():
            if not self.restarting:
                try:
                    await self.watch_journal(ask)
                    if self.healthy:
                        await self.watch_findings(ask)
                    self.samples.append({"at": round(time.monotonic() - begun, 1), "life": len(self.servers), **self.use()})
                except OSError:
                    if not self.is_coming_back():
                        raise
            await asyncio.sleep(SAMPLE)
        ask.close()

    def use(self):
        return {"memory": self.server.memory(), "files": self.server.files(), "threads": self.server.threads(),
                "tasks": self.tasks(), "alive": len(self.alive)}

    def tasks(self):
        """Tasks of the server's runtime, as its metrics say."""
        page = self.server.get("/actuator/prometheus").text
        found = re.search(r"^nacre_tasks ([\d.]+)", page, re.MULTILINE)
        return int(float(found.group(1))) if found else None

    # -- the end

    async def listed(self):
        """Every address in the registry, with its service and health."""
        ask, found = Http(self.port), {}
        for number in range(SERVICES):
            _, text = await ask("GET", "/v1/ns/instance/list", {"serviceName": f"soak{number}"})
            for host in json.loads(text)["hosts"]:
                found[f"{host['ip']}:{host['port']}"] = (f"soak{number}", host["healthy"])
        ask.close()
        return found

    async def compare(self, what):
        """Registry and model, once the last dead have had their time."""
        end = time.monotonic() + GONE_WITHIN
        while True:
            found = await self.listed()
            expected = {address: (service, True) for address, service in self.alive.items()}
            if found == expected or time.monotonic() > end:
                break
            await asyncio.sleep(0.2)
        for address in found.keys() | expected.keys():
            if found.get(address) != expected.get(address):
                self.complain(f"{what}: {address} is {found.get(address)}, the model says {expected.get(address)}")
        return len(expected)

    def compare_configs(self):
        stale = sum(text != self.truth[data_id] for held in self.listened.values() for data_id, text in held.items())
        if stale:
            self.complain(f"{stale} listeners hold an old config")

    async def run(self):
        before = self.use()
        tasks = [asyncio.ensure_future(self.grpc_client(n) if n % 5 < 3 else self.http_client(n))
                 for n in range(self.clients)]
        beside = [asyncio.ensure_future(work()) for work in (self.publisher, self.observe, self.watch_ourselves)]
        restart = asyncio.ensure_future(self.restart())
        await asyncio.sleep(self.seconds)
        await restart
        self.churning = False
        held = await self.compare("with everybody alive")
        await asyncio.sleep(1)
        self.compare_configs()
        self.leaving.set()
        await asyncio.gather(*tasks, *beside)
        await self.compare("with everybody gone")
        after = await self.calm(before)
        return {"before": before, "after": after, "compared": held}

    async def calm(self, before):
        """Connections and their tasks end in their own time."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            after = self.use()
            if self.leaks(before, after) == []:
                break
            await asyncio.sleep(0.5)
        for leak in self.leaks(before, after):
            self.complain(leak)
        return after

    @staticmethod
    def leaks(before, after):
        """The database's readers and the runtime's spare threads come when they are first needed and stay."""
        room = {"files": 12, "threads": 24, "tasks": 8}
        return [f"{what}: {before[what]} before the clients came, {after[what]} after they left"
                for what, more in room.items() if before[what] is not None and after[what] > before[what] + more]


def growth(samples, what):
    """(first, last, slope an hour) of a quantity after the warm-up, since the server was started last: medians of the first and
    last fifth."""
    samples = [sample for sample in samples if sample["life"] == samples[-1]["life"]]
    steady = samples[len(samples) // 4:]
    if any(sample[what] is None for sample in steady):
        return None, None, None
    part = max(1, len(steady) // 5)
    first = statistics.median(sample[what] for sample in steady[:part])
    last = statistics.median(sample[what] for sample in steady[-part:])
    middle = (len(steady) - part) * SAMPLE if len(steady) > part else SAMPLE
    return first, last, (last - first) / middle * 3600


class Sdks:
    """Real SDK processes that deploy, live a while and end by shutdown or kill -9, each in a thread of its own."""

    def __init__(self, soak, names, directory):
        self.soak, self.names, self.directory, self.threads = soak, names, directory, []

    def start(self):
        sys.path.insert(0, str(results.ROOT / "tests" / "compat"))
        from suite import main as compat
        for client in compat.chosen(list(self.names)):
            client.build(str(results.TARGET / "compat"))
            thread = threading.Thread(target=self.live, args=(client,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def live(self, client):
        from suite.driver import Driver, DriverError
        soak, number = self.soak, 0
        while soak.churning:
            number += 1
            service, (ip, port) = f"soak{number % SERVICES}", soak.address()
            try:
                driver = Driver(client, os.path.join(self.directory, f"{client.name}-{number}"), soak.server).ready()
                try:
                    driver.call("subscribe", tag="t", service=f"soak{number + 1}", group=GROUP, clusters=[])
                    driver.call("register", service=service, group=GROUP, instance={
                        "ip": ip, "port": port, "weight": 1, "healthy": True, "enabled": True, "ephemeral": True,
                        "cluster": "DEFAULT", "metadata": dict(SDK_TIMERS)})
                    soak.sdk_addresses.add(f"{ip}:{port}")
                    soak.born(service, ip, port)
                    soak.counts["sdkLives"] += 1
                    end = time.monotonic() + soak.random.uniform(30, 90)
                    while soak.churning and time.monotonic() < end:
                        time.sleep(0.2)
                    # A connection that closes is a word; of those that beat, whoever is killed dies in silence.
                    says_good_bye = number % 2 == 0 or (soak.healthy and client.beats)
                    soak.dies(ip, port, "redeployed" if says_good_bye else "crashed")
                    if says_good_bye:
                        driver.call("deregister", service=service, group=GROUP, instance={
                            "ip": ip, "port": port, "weight": 1, "healthy": True, "enabled": True, "ephemeral": True,
                            "cluster": "DEFAULT", "metadata": dict(SDK_TIMERS)})
                finally:
                    driver.process.kill()
                    driver.process.wait()
            except (DriverError, OSError) as error:
                # An SDK gives up after its own 3 s, which a busy machine needs now and then; many are a finding.
                if not soak.is_coming_back():
                    soak.sdk_failures.append(f"{client.name}: {error}")
                soak.dies(ip, port, "crashed")
                time.sleep(2)

    def join(self):
        for thread in self.threads:
            thread.join()


def run(binary, seconds, clients, seed, sdks, healthy=False):
    with tempfile.TemporaryDirectory(prefix="nacre-soak-", ignore_cleanup_errors=True) as directory:
        servers = [Server(binary, os.path.join(directory, "home"), SETTINGS).wait_ready()]
        try:
            return soaked(servers, seconds, clients, seed, sdks, directory, healthy)
        finally:
            servers[-1].kill()


def soaked(servers, seconds, clients, seed, sdks, directory, healthy):
    async def go():
        soak = Soak(servers, seconds, clients, seed, healthy)
        beside = Sdks(soak, sdks, directory)
        if sdks:
            await asyncio.to_thread(beside.start)
        ends = await soak.run()
        await asyncio.to_thread(beside.join)
        return soak, ends
    soak, ends = asyncio.run(go())
    if len(soak.late) > MOST_LATE * soak.counts["deployed"]:
        soak.complain(f"{len(soak.late)} clients were too late to be judged: this machine is too busy for the load")
    if len(soak.sdk_failures) > max(2, 0.05 * soak.counts["sdkLives"]):
        soak.complain(f"{len(soak.sdk_failures)} calls of SDKs failed: {'; '.join(soak.sdk_failures[:3])}")
    soak.complain_of_log()
    outcome = {"restarts": len(servers) - 1, "seed": seed, "seconds": seconds, "clients": clients, "sdks": list(sdks), "meanLife": soak.life, **ends,
               **soak.counts}
    # Short runs are all warm-up: caches, allocator and database fill.
    warm = seconds >= 300
    for what, room in (("memory", 0.06 if warm else 0.3), ("files", 0.10), ("threads", 0.10), ("tasks", 0.10)):
        first, last, slope = growth(soak.samples, what)
        if first is None:
            soak.complain(f"the server does not tell its {what}")
            continue
        outcome[what] = {"first": first, "last": last, "perHour": round(slope)}
        if last > first * (1 + room) + ROOM.get(what, 8):
            soak.complain(f"{what} grew from {first:.0f} to {last:.0f} while the number of clients stayed")
    if soak.server.stop() != 0:
        soak.complain("the server did not end well")
    outcome |= {"healthy": healthy, "falseFindings": [finding["code"] for finding in soak.findings.values()]}
    outcome |= {"late": len(soak.late), "sdkFailures": soak.sdk_failures[:50], "falseExpiries": sum("false expiry" in text for text in soak.complaints), "complaints": soak.complaints,
                "samples": soak.samples}
    return outcome
