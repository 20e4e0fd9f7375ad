"""Driver of the compatibility suite for nacos-sdk-python 0.1 and 1.0, the SDK that speaks HTTP: it polls lists, beats and
long-polls. What the operations mean stands in tests/compat/README.md."""

import json
import os
import sys

from protocol import failed, send

from nacos import NacosClient
from nacos.listener import SubscribeListener

POLL_SECONDS = 0.5
REQUEST_TIMEOUT = 10
BEAT_MS = "5000"


def host(i):
    return {"ip": i["ip"], "port": i["port"], "weight": i["weight"], "healthy": i["healthy"], "enabled": i["enabled"],
            "ephemeral": i["ephemeral"], "cluster": i["clusterName"], "metadata": i["metadata"]}


class Driver:
    def __init__(self, to):
        self.client = NacosClient(
            f"{to['host']}:{to['port']}", namespace=to["namespace"] or None, username=to["username"] or None,
            password=to["password"] or None, logDir="log")
        self.client.set_options(default_timeout=REQUEST_TIMEOUT)
        self.listeners = {}

    def register(self, c):
        i = c["instance"]
        beat = int(i["metadata"].get("preserved.heart.beat.interval", BEAT_MS)) / 1000
        return self.client.add_naming_instance(
            c["service"], i["ip"], i["port"], cluster_name=i["cluster"], weight=i["weight"], metadata=i["metadata"],
            enable=i["enabled"], ephemeral=i["ephemeral"], group_name=c["group"], heartbeat_interval=beat)

    def maintain_instance(self, c):
        i = c["instance"]
        return self.client.modify_naming_instance(
            c["service"], i["ip"], i["port"], cluster_name=i["cluster"], weight=i["weight"], metadata=i["metadata"],
            enable=i["enabled"], ephemeral=i["ephemeral"], group_name=c["group"])

    def deregister(self, c):
        i = c["instance"]
        return self.client.remove_naming_instance(
            c["service"], i["ip"], i["port"], cluster_name=i["cluster"], ephemeral=i["ephemeral"], group_name=c["group"])

    def list(self, c):
        return self._instances(c, False)

    def select_healthy(self, c):
        return self._instances(c, True)

    def _instances(self, c, healthy):
        found = self.client.list_naming_instance(
            c["service"], clusters=",".join(c["clusters"]) or None, group_name=c["group"], healthy_only=healthy)
        return [host(i) for i in found["hosts"]]

    def subscribe(self, c):
        def changed(_event, _instance):
            # The SDK tells of one instance at a time; what it knows by then is the state.
            known = self.client.subscribed_local_manager.get_local_instances(c["service"]) or {}
            send({"event": "hosts", "tag": c["tag"], "hosts": [host(one.instance) for one in list(known.values())]})

        # What its first poll finds is known silently, so an application that subscribes lists, too.
        send({"event": "hosts", "tag": c["tag"], "hosts": self.list(c)})
        self.client.subscribe(
            SubscribeListener(changed, c["tag"]), POLL_SECONDS, c["service"], clusters=",".join(c["clusters"]) or None,
            group_name=c["group"])
        # Unless they are told otherwise, its timers end for ever with the first poll that fails.
        for timer in self.client.subscribe_timer_manager.all_timers().values():
            timer.set_ignore_ex(True)

    def unsubscribe(self, c):
        self.client.unsubscribe(c["service"], c["tag"])

    def publish(self, c):
        return self.client.publish_config(c["dataId"], c["group"], c["content"], config_type=c.get("type"))

    def get(self, c):
        return self.client.get_config(c["dataId"], c["group"], no_snapshot=True)

    def remove(self, c):
        return self.client.remove_config(c["dataId"], c["group"])

    def listen(self, c):
        def changed(config):
            send({"event": "config", "tag": c["tag"], "content": config["content"]})

        self.listeners[c["tag"]] = changed
        self.client.add_config_watcher(c["dataId"], c["group"], changed)

    def unlisten(self, c):
        self.client.remove_config_watcher(c["dataId"], c["group"], self.listeners.pop(c["tag"]))

    def shutdown(self, _c):
        """All that there is to stop; the beats end with the process."""
        self.client.stop_subscribe()
        if self.client.process_mgr:
            self.client.process_mgr.shutdown()


def main(to):
    driver = Driver(to)
    ops = {name: getattr(driver, name) for name, op in vars(Driver).items() if not name.startswith("_")}
    send({"event": "hello", "ops": sorted(ops)})
    for line in sys.stdin:
        c = json.loads(line)
        reply = {"id": c["id"], "ok": True}
        try:
            reply["value"] = ops[c["op"]](c)
        except Exception as failure:
            failed(reply, failure)
        send(reply)
        if c["op"] == "shutdown":
            os._exit(0)
    driver.shutdown(None)
    os._exit(0)


# The SDK starts a process of its own for its listeners, which may read this file again.
if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
