"""Driver of the compatibility suite for nacos-sdk-python 2 and 3: obeys the runner's JSON commands on standard input and
reports replies and events on standard output. What the operations mean stands in tests/compat/README.md."""

import asyncio
import json
import os
import sys

from protocol import failed, send

from v2.nacos import (
    BatchRegisterInstanceParam,
    ClientConfigBuilder,
    ConfigParam,
    DeregisterInstanceParam,
    GRPCConfig,
    ListInstanceParam,
    ListServiceParam,
    NacosConfigService,
    NacosException,
    NacosNamingService,
    RegisterInstanceParam,
    SubscribeServiceParam,
)

LINE_LIMIT = 16 * 1024 * 1024


def registration(c, i):
    return RegisterInstanceParam(
        ip=i["ip"], port=i["port"], weight=i["weight"], enabled=i["enabled"], ephemeral=i["ephemeral"],
        cluster_name=i["cluster"], metadata=i["metadata"], service_name=c["service"], group_name=c["group"])


def batch(c):
    return BatchRegisterInstanceParam(
        service_name=c["service"], group_name=c["group"], instances=[registration(c, i) for i in c["instances"]])


def host(i):
    return {"ip": i.ip, "port": i.port, "weight": i.weight, "healthy": i.healthy, "enabled": i.enabled,
            "ephemeral": i.ephemeral, "cluster": i.clusterName, "metadata": i.metadata}


class Driver:
    def __init__(self, naming, config, namespace):
        self.naming = naming
        self.config = config
        self.namespace = namespace
        self.subscriptions = {}
        self.listeners = {}

    async def register(self, c):
        return await self.naming.register_instance(registration(c, c["instance"]))

    async def update(self, c):
        return await self.naming.update_instance(registration(c, c["instance"]))

    async def deregister(self, c):
        i = c["instance"]
        return await self.naming.deregister_instance(DeregisterInstanceParam(
            ip=i["ip"], port=i["port"], cluster_name=i["cluster"], ephemeral=i["ephemeral"],
            service_name=c["service"], group_name=c["group"]))

    async def batch_register(self, c):
        return await self.naming.batch_register_instances(batch(c))

    async def batch_deregister(self, c):
        return await self.naming.batch_deregister_instances(batch(c))

    async def list(self, c):
        return await self._instances(c, None)

    async def select_healthy(self, c):
        return await self._instances(c, True)

    async def _instances(self, c, healthy):
        found = await self.naming.list_instances(ListInstanceParam(
            service_name=c["service"], group_name=c["group"], clusters=c["clusters"], subscribe=True,
            healthy_only=healthy))
        return [host(i) for i in found]

    async def services(self, c):
        found = await self.naming.list_services(ListServiceParam(
            namespace_id=self.namespace or "public", group_name=c["group"], page_no=c["page"], page_size=c["size"]))
        return {"count": found.count, "names": found.services}

    async def subscribe(self, c):
        async def pushed(instances):
            send({"event": "hosts", "tag": c["tag"], "hosts": [host(i) for i in instances]})

        param = SubscribeServiceParam(
            service_name=c["service"], group_name=c["group"], clusters=c["clusters"], subscribe_callback=pushed)
        self.subscriptions[c["tag"]] = param
        await self.naming.subscribe(param)

    async def unsubscribe(self, c):
        await self.naming.unsubscribe(self.subscriptions.pop(c["tag"]))

    async def publish(self, c):
        return await self.config.publish_config(ConfigParam(
            data_id=c["dataId"], group=c["group"], content=c["content"], type=c.get("type") or ""))

    async def cas(self, c):
        try:
            return await self.config.publish_config(ConfigParam(
                data_id=c["dataId"], group=c["group"], content=c["content"], cas_md5=c["md5"]))
        except NacosException as lost:
            # The SDK raises when the comparison is lost; every other error stays one.
            if "Cas publish fail" in str(lost):
                return False
            raise

    async def get(self, c):
        return await self.config.get_config(ConfigParam(data_id=c["dataId"], group=c["group"])) or None

    async def remove(self, c):
        return await self.config.remove_config(ConfigParam(data_id=c["dataId"], group=c["group"]))

    async def listen(self, c):
        async def changed(_tenant, _data_id, _group, content):
            send({"event": "config", "tag": c["tag"], "content": content})

        self.listeners[c["tag"]] = changed
        await self.config.add_listener(c["dataId"], c["group"], changed)

    async def unlisten(self, c):
        await self.config.remove_listener(c["dataId"], c["group"], self.listeners.pop(c["tag"]))

    async def status(self, _c):
        return "UP" if await self.naming.server_health() else "DOWN"

    async def shutdown(self, _c):
        try:
            await self.naming.shutdown()
        except TypeError:
            pass  # 2.0.11 closes its connection and then awaits what is nothing
        await self.config.shutdown()


def operations(driver):
    return {name: getattr(driver, name) for name in dir(driver)
            if not name.startswith("_") and asyncio.iscoroutinefunction(getattr(driver, name))}


async def obey(ops, c):
    reply = {"id": c["id"], "ok": True}
    try:
        reply["value"] = await ops[c["op"]](c)
    except Exception as failure:
        failed(reply, failure)
    send(reply)


async def main(to):
    namespace = to["namespace"]
    config = (ClientConfigBuilder()
              .server_address(f"{to['host']}:{to['port']}")
              .namespace_id(namespace)
              .username(to["username"] or None)
              .password(to["password"] or None)
              .cache_dir("cache")
              .log_dir("log")
              .load_cache_at_start(False)
              .grpc_config(GRPCConfig(grpc_timeout=5000, port_offset=to["grpcPort"] - to["port"]))
              .build())
    config.set_update_cache_when_empty(True)
    config.disable_use_config_cache = True
    naming = await NacosNamingService.create_naming_service(config)
    driver = Driver(naming, await NacosConfigService.create_config_service(config), namespace)
    ops = operations(driver)
    send({"event": "hello", "ops": sorted(ops)})

    commands = asyncio.StreamReader(limit=LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while True:
        line = await commands.readline()
        if not line:
            os._exit(0)
        c = json.loads(line)
        await obey(ops, c)
        if c["op"] == "shutdown":
            # The SDK's background tasks do not all end: leave without waiting for them.
            os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
