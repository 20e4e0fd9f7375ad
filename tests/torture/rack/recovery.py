"""Recovery (F10): how long a node that holds much takes from its start until it is ready and right.

On one node that is what is durable: configs and persistent instances. Instances kept alive by a client come back with it.
"""

import asyncio
import os
import random
import tempfile
import time

from . import grpc, survey
from .call import Caller
from .process import Server

CONFIGS, INSTANCES = 100_000, 10_000
SERVICE_SIZE = 100
AT_ONCE = 200
SAMPLE = 2_000
TEXT = "spring.datasource.url=jdbc:mysql://db-{0}:3306/orders\nspring.datasource.username=app-{0}\npool.size={1}\n"


def text(number):
    """About a kilobyte, different for each config."""
    return TEXT.format(number, number % 64) + f"# {number:08d} " * 80


def name(number):
    return f"app-{number}.properties"


async def fill(port, configs, instances):
    """Publishes and registers everything, many at a time."""
    clients = [await grpc.Client.connect(port + 1000) for _ in range(4)]
    numbers = iter([("config", number) for number in range(configs)] + [("instance", number) for number in range(instances)])

    async def work(client):
        for kind, number in numbers:
            if kind == "config":
                await client.ask("ConfigPublishRequest", {"dataId": name(number), "group": survey.GROUP, "tenant": "",
                                                          "content": text(number)})
            else:
                await client.register(f"kept-{number // SERVICE_SIZE}", "192.0.2.1", 1 + number % 60_000, ephemeral=False,
                                      metadata={"n": str(number)})
    await asyncio.gather(*(work(clients[number % 4]) for number in range(AT_ONCE)))
    for client in clients:
        await client.close()


def check(port, configs, instances, seed):
    """Everything is counted, a sample is read; the number of things checked."""
    ask, picked = Caller(port), random.Random(seed)
    page = ask("GET", "/v1/cs/configs", {"search": "blur", "dataId": "", "group": survey.GROUP, "pageNo": 1, "pageSize": 1})
    assert page.json()["totalCount"] == configs, f"{page.json()['totalCount']} of {configs} configs"
    for number in picked.sample(range(configs), min(SAMPLE, configs)):
        assert survey.config_text(ask, name(number)) == text(number), f"{name(number)} is not what was published"
    for service in range(instances // SERVICE_SIZE):
        found = survey.instances(ask, f"kept-{service}")
        assert len(found) == SERVICE_SIZE, f"kept-{service} has {len(found)} instances"
    ask.close()
    return configs + instances


def restart(binary, home, settings):
    """A start until readiness says yes: its seconds, those of a core, and the server."""
    begun = time.monotonic()
    server = Server(binary, home, settings).wait_ready()
    assert server.get("/v1/console/health/readiness").status == 200
    return time.monotonic() - begun, server.cpu(), server


def run(binary, configs, instances, seed, say):
    # Nobody answers at the instances' addresses; probing them is not what is measured.
    settings = ("nacos.naming.clean.empty-service.expired-time=1000000000",)
    with tempfile.TemporaryDirectory(prefix="nacre-recovery-") as home:
        server = Server(binary, home, settings).wait_ready()
        try:
            begun = time.monotonic()
            asyncio.run(fill(server.port, configs, instances))
            say(f"  filled in {time.monotonic() - begun:.0f} s; killed")
            server.kill()
            log = sum(os.path.getsize(os.path.join(home, "data", "log", file)) for file in os.listdir(f"{home}/data/log"))
            outcome = {"configs": configs, "instances": instances, "logBytes": log}
            for how in ("afterKill", "afterStop"):
                seconds, used, server = restart(binary, home, settings)
                say(f"  {how}: ready after {seconds:.2f} s, {used:.2f} s of a core")
                outcome[how], outcome[how + "Cpu"] = round(seconds, 2), round(used, 2)
                outcome["checked"] = check(server.port, configs, instances, seed)
                assert server.stop() == 0
            outcome["databaseBytes"] = os.path.getsize(os.path.join(home, "data", "nacos.db"))
            return outcome
        finally:
            server.kill()
