"""Dubbo 3: the server is its registry (by interface and by application), its config centre and its metadata centre."""

import json
from concurrent.futures import ThreadPoolExecutor

from .applications import GROUP, V1, Stage, mark
from .behaviours import AT_ONCE, equal
from .server import free_port

FLOWS = []
INTERFACE = "compat.dubbo.Hello"
BY_INTERFACE = f"providers:{INTERFACE}::"
# The groups of configs: settings and rules, and the mapping from interfaces to applications.
CENTRE = "dubbo"
MAPPING = "mapping"
RULES = f"{INTERFACE}::.condition-router"
UTF8 = "kék 🦪 a&b %41+c"


class Shop(Stage):
    def __init__(self, s):
        super().__init__(s)
        self.applications = {}

    def provider(self, process, name, application=None):
        self.applications[name] = application or self.service
        self.start(process, name, self.applications[name], free_port())

    def services(self, name):
        return [BY_INTERFACE, self.applications[name]]

    def answers(self, name):
        return {f"{step} {self.ports[name]}" for step in ("FORCE_INTERFACE", "FORCE_APPLICATION")}

    def rule(self, condition):
        """A routing rule of the interface, as Dubbo's console publishes it."""
        self.s.server.publish(RULES, CENTRE, (
            f"configVersion: v3.0\nscope: service\nkey: {INTERFACE}\nforce: true\nruntime: true\nenabled: true\n"
            f"conditions:\n  - '{condition}'\n"), "yaml")


@mark(FLOWS, "app_start", "config_start", "app_registers", "metadata", "app_calls", "app_added", "mapping", "app_disabled",
      "config_refresh", "app_closed", "app_killed", "app_outage", "app_return", "config_return")
def everything(s):
    shop = Shop(s)
    with s.row("app_start"):
        s.server.publish("dubbo.properties", CENTRE, f"compat.everywhere={UTF8}\ncompat.both=global\n", "properties")
        s.server.publish("dubbo.properties", shop.service, "compat.both=of the application\n", "properties")
        with ThreadPoolExecutor(1) as other:
            victim = other.submit(shop.provider, s.provider, "victim")
            shop.provider(s.consumer, "steady")
            victim.result()
        s.consumer.call("call", within=60, service=shop.service)
    with s.row("config_start"):
        for name in ("victim", "steady"):
            seen = [shop.homes[name].call("property", key=key, **{"as": name})
                    for key in ("compat.everywhere", "compat.both")]
            equal(seen, [UTF8, "of the application"], f"the settings of {name}")
    with s.row("app_registers"):
        both = {shop.ports["victim"], shop.ports["steady"]}
        equal(shop.listed(BY_INTERFACE), both, "the server's own list by interface")
        equal(shop.listed(), both, "the server's own list by application")
        for host in s.server.hosts(BY_INTERFACE, GROUP):
            equal((host["metadata"]["protocol"], host["metadata"]["interface"]), ("dubbo", INTERFACE), "metadata")
        for host in s.server.hosts(shop.service, GROUP):
            equal(host["metadata"]["dubbo.metadata.storage-type"], "remote", "metadata")
    with s.row("metadata"):
        key = f"{INTERFACE}:::provider:{shop.service}"
        s.eventually(lambda: s.server.config(key, CENTRE), "the definition of the interface", within=AT_ONCE)
        definition = json.loads(s.server.config(key, CENTRE))
        equal([method["name"] for method in definition["methods"]], ["who"], "its methods")
    with s.row("app_calls"):
        shop.calls_reach("victim", "steady", within=20, may_fail=True)
        shop.calls_reach("victim", "steady")
    with s.row("app_added"):
        shop.provider(s.consumer, "added")
        shop.calls_reach("victim", "steady", "added")
    with s.row("mapping"):
        equal(s.server.config(INTERFACE, MAPPING), shop.service, "the mapping before")
        shop.provider(s.consumer, "second", shop.service + "-second")
        equal(sorted(s.server.config(INTERFACE, MAPPING).split(",")), [shop.service, shop.service + "-second"],
              "the mapping")
        # A consumer that misses the metadata of a revision asks again after ten seconds.
        shop.calls_reach("victim", "steady", "added", "second", within=45)
    with s.row("app_disabled"):
        shop.operate(V1, "steady", enabled="false")
        shop.calls_reach("victim", "added", "second")
        shop.operate(V1, "steady", enabled="true")
        shop.calls_reach("victim", "steady", "added", "second")
    with s.row("config_refresh"):
        shop.rule(f" => port != {shop.ports['steady']}")
        shop.calls_reach("victim", "added", "second")
        s.server.remove(RULES, CENTRE)
        shop.calls_reach("victim", "steady", "added", "second")
    with s.row("app_closed"):
        shop.close("second")
        shop.gone("second")
        shop.calls_reach("victim", "steady", "added", within=20, may_fail=True)
    with s.row("app_killed"):
        s.provider.kill()
        shop.gone("victim")
        shop.calls_reach("steady", "added", may_fail=True)
    with s.row("app_outage"):
        s.server.kill()
        for _ in range(3):
            shop.calls_reach("steady", "added")
    with s.row("app_return"):
        s.server.start()
        both = {shop.ports["steady"], shop.ports["added"]}
        for service in shop.services("steady"):
            s.eventually(lambda: shop.listed(service) == both, f"the providers registered again for {service}")
        shop.provider(s.consumer, "late")
        # A consumer that reconnects before its providers do is told, rightly, that there are none yet.
        shop.calls_reach("steady", "added", "late", within=s.client.redo_within, may_fail=True)
    with s.row("config_return"):
        shop.rule(f" => port != {shop.ports['added']}")
        shop.calls_reach("steady", "late", within=s.client.redo_within)
