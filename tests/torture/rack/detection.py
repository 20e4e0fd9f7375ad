"""How soon a dead client is out of its subscribers' lists: processes killed, beats that cease, a cable that is cut.

Run as a program it is such a client: `detection.py PORT SERVICE IP SOURCE` registers over gRPC and speaks every second.
"""

import asyncio
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    from rack import grpc
else:
    from . import call, disk, grpc
    from .process import Server

SERVICE = "mortal"
TIMEOUT = 3000            # of the beaters, milliseconds
METADATA = json.dumps({"preserved.heart.beat.interval": "1000", "preserved.heart.beat.timeout": str(TIMEOUT),
                       "preserved.ip.delete.timeout": "60000"})


async def live(port, service, ip, source):
    client = await grpc.Client.connect(port, source=source)
    await client.register(service, ip, 8080)
    print("registered", flush=True)
    while client.alive():
        await client.call("HealthCheckRequest", {})
        await asyncio.sleep(1)


class Lists:
    """A subscriber: when an address left the healthy ones of the newest list it was pushed."""

    def __init__(self):
        self.healthy, self.changed = set(), asyncio.Event()

    def told(self, kind, body):
        if kind == "NotifySubscriberRequest":
            self.healthy = {host["ip"] for host in body["serviceInfo"]["hosts"] if host["healthy"]}
            self.changed.set()

    async def until(self, holds, within=60):
        end = time.monotonic() + within
        while not holds():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), max(0.01, end - time.monotonic()))
        return time.monotonic()


async def killed(port, lists, number):
    ip = f"10.1.0.{number}"
    child = await asyncio.create_subprocess_exec(sys.executable, __file__, str(port + 1000), SERVICE, ip, "127.0.0.1",
                                                 stdout=subprocess.PIPE)
    await child.stdout.readline()
    await lists.until(lambda: ip in lists.healthy)
    begun = time.monotonic()
    child.kill()
    gone = await lists.until(lambda: ip not in lists.healthy)
    await child.wait()
    return gone - begun


async def silent(port, lists, number):
    """Beyond the timeout, which counts from the last beat."""
    ip = f"10.2.0.{number}"
    ask = call.Caller(port)
    form = {"serviceName": SERVICE, "ip": ip, "port": 8080}
    assert (await asyncio.to_thread(ask, "POST", "/v1/ns/instance", {**form, "metadata": METADATA})).status == 200
    for _ in range(3):
        begun = time.monotonic()
        assert (await asyncio.to_thread(ask, "PUT", "/v1/ns/instance/beat", form)).status == 200
        await asyncio.sleep(0.5)
    ask.close()
    gone = await lists.until(lambda: ip not in lists.healthy)
    return gone - begun - TIMEOUT / 1000


async def cut(port, lists, number, nft):
    """Every packet between the two is dropped; no side is told."""
    ip, source = f"10.3.0.{number}", f"127.0.3.{number}"
    client = await grpc.Client.connect(port + 1000, source=source)
    await client.register(SERVICE, ip, 8080)
    await lists.until(lambda: ip in lists.healthy)
    table = f"nacre_detection_{os.getpid()}_{number}"
    rules = (f"table inet {table} {{\n chain cut {{\n type filter hook input priority 0;\n"
             f"ip saddr {source} drop\nip daddr {source} drop\n}}\n}}\n")
    subprocess.run([nft, "-f", "-"], input=rules, text=True, check=True)
    try:
        begun = time.monotonic()
        return await lists.until(lambda: ip not in lists.healthy) - begun
    finally:
        subprocess.run([nft, "delete", "table", "inet", table], check=True)
        client.abort()


async def measure(port, times, nft):
    lists = Lists()
    watcher = await grpc.Client.connect(port + 1000, on_push=lists.told)
    await watcher.subscribe(SERVICE)

    async def speak():
        while True:
            await watcher.call("HealthCheckRequest", {})
            await asyncio.sleep(2)
    speaking = asyncio.ensure_future(speak())
    # One at a time where a process is timed; the slow ones wait together.
    kills = [await killed(port, lists, number) for number in range(1, times + 1)]
    silences = asyncio.gather(*(silent(port, lists, number) for number in range(1, times + 1)))
    cuts = asyncio.gather(*(cut(port, lists, number, nft) for number in range(1, 4)))
    outcome = {"killed": kills, "silent": await silences, "cut": await cuts}
    speaking.cancel()
    await watcher.close()
    return outcome


def run(binary, times):
    nft = disk.need("nft", "nftables")
    with tempfile.TemporaryDirectory(prefix="nacre-detection-") as home:
        server = Server(binary, home).wait_ready()
        try:
            outcome = asyncio.run(measure(server.port, times, nft))
        finally:
            server.kill()
    return {what: {"median": round(statistics.median(seconds), 3), "worst": round(max(seconds), 3), "times": len(seconds)}
            for what, seconds in outcome.items()}


if __name__ == "__main__":
    asyncio.run(live(int(sys.argv[1]), *sys.argv[2:]))
