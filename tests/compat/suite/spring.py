"""Spring Cloud Alibaba: discovery with the load balancer of Spring Cloud, settings imported and refreshed."""

import json
from concurrent.futures import ThreadPoolExecutor

from .applications import ADMIN, GROUP, V1, Stage, mark
from .behaviours import AT_ONCE, equal
from .server import HOST, ask

FLOWS = []
UTF8 = "kék 🦪 = a&b %41+c"


class Spring:
    """What the applications import, and how they show what they got."""

    source = "SPRING_CLOUD"
    # Whether a refresh imports everything anew, also what changed without being listened to.
    imports_anew = True

    def __init__(self, s, stage):
        self.s = s
        self.stage = stage
        self.msg = s.name("msg") + ".properties"
        self.yaml = s.name("settings") + ".yaml"
        self.fixed = s.name("fixed") + ".properties"
        self.wanted = {"msg": "at the start", "yaml": UTF8, "fixed": "for ever"}

    def publish(self):
        publish = self.s.server.publish
        publish(self.msg, GROUP, "demo.msg=at the start\n", "properties")
        publish(self.yaml, GROUP, f"demo:\n  # {UTF8}\n  yaml: '{UTF8}'\n", "yaml")
        publish(self.fixed, GROUP, "demo.fixed=for ever\n", "properties")

    def start(self, process, name, service=None):
        imports = [f"nacos:{self.msg}?refreshEnabled=true", f"nacos:{self.yaml}?group={GROUP}",
                   f"nacos:{self.fixed}?refreshEnabled=false", f"optional:nacos:{self.s.name('absent')}.properties"]
        self.stage.start(process, name, service, "--spring.config.import=" + ",".join(imports))

    def another_process(self, role):
        """Where a provider that is not killed lives: beside the consumer."""
        return self.s.consumer

    def expected(self, name):
        return dict(self.wanted, bound=self.wanted["msg"])

    def url(self, name, path):
        return f"http://{HOST}:{self.stage.ports[name]}{path}"

    def settings(self, name):
        status, text = ask(self.url(name, "/settings"))
        equal(status, 200, f"status of the settings of {name}")
        return json.loads(text)

    def change(self, msg):
        self.wanted["msg"] = msg
        escaped = msg.encode("utf-16-be").hex()
        escaped = "".join(f"\\u{escaped[at:at + 4]}" for at in range(0, len(escaped), 4))
        self.s.server.publish(self.msg, GROUP, f"demo.msg={escaped}\n", "properties")

    def refreshed(self, name, within=AT_ONCE):
        process = self.stage.homes[name]
        process.some(name, lambda event: "demo.msg" in event["keys"], f"{name} refreshed", within=within)
        self.s.eventually(lambda: self.judge(name), f"the settings of {name}", within=within)

    def judge(self, name):
        equal(self.settings(name), self.expected(name), f"the settings of {name}")
        return True

    def listeners(self, data_id):
        status, text = self.s.server.get("/nacos/v3/admin/cs/config/listener", dataId=data_id, groupName=GROUP)
        equal(status, 200, f"status of the listeners ({text})")
        return json.loads(text)["data"]["listenersStatus"]

    def healthy(self, name):
        status, text = ask(self.url(name, "/actuator/health"))
        health = json.loads(text)
        equal((status, health["status"]), (200, "UP"), "health")
        discovery = health["components"]["discoveryComposite"]["components"]["discoveryClient"]
        equal(discovery["status"], "UP", "health of the discovery client")
        if self.stage.service not in discovery["details"]["services"]:
            raise AssertionError(f"the services of the health endpoint: {discovery}")

    def turn(self, name, status):
        answered, text = ask(self.url(name, "/actuator/serviceregistry"), "POST", json.dumps({"status": status}))
        equal(answered, 200, f"the service registry endpoint ({text})")


@mark(FLOWS, "app_start", "config_start", "app_registers", "app_calls", "discovery_list", "health", "app_added",
      "app_disabled", "app_drained", "self_drained", "config_fixed", "config_refresh", "app_closed", "app_killed",
      "app_outage", "app_return", "config_return")
def everything(s):
    perform(s, Spring)


def perform(s, framework):
    stage = Stage(s)
    spring = framework(s, stage)
    with s.row("app_start"):
        spring.publish()
        with ThreadPoolExecutor(1) as other:
            victim = other.submit(spring.start, s.provider, "victim")
            spring.start(spring.another_process("steady"), "steady")
            spring.start(s.consumer, "consumer", s.name("consumer"))
            victim.result()
        s.consumer.call("call", service=stage.service, **{"as": "consumer"})
    with s.row("config_start"):
        for name in ("victim", "steady", "consumer"):
            spring.judge(name)
    with s.row("app_registers"):
        equal(stage.listed(), {stage.ports["victim"], stage.ports["steady"]}, "the server's own list")
        for host in s.server.hosts(stage.service, GROUP):
            equal(host["metadata"].get("preserved.register.source"), spring.source, "metadata")
    with s.row("app_calls"):
        stage.calls_reach("victim", "steady")
    with s.row("discovery_list"):
        services = s.consumer.call("services", **{"as": "consumer"})
        equal({stage.service, s.name("consumer")} - set(services), set(), "services missed")
    if s.offers("health"):
        with s.row("health"):
            spring.healthy("consumer")
    with s.row("app_added"):
        spring.start(spring.another_process("added"), "added")
        stage.calls_reach("victim", "steady", "added")
    with s.row("app_disabled"):
        stage.operate(V1, "victim", enabled="false")
        stage.calls_reach("steady", "added")
        stage.operate(V1, "victim", enabled="true")
        stage.calls_reach("victim", "steady", "added")
    with s.row("app_drained"):
        stage.operate(ADMIN, "steady", weight="0")
        stage.calls_reach("victim", "added")
        stage.operate(ADMIN, "steady", weight="1")
        stage.calls_reach("victim", "steady", "added")
    if s.offers("self_drained"):
        with s.row("self_drained"):
            spring.turn("added", "DOWN")
            stage.calls_reach("victim", "steady")
            spring.turn("added", "UP")
            stage.calls_reach("victim", "steady", "added")
    with s.row("config_fixed"):
        s.server.publish(spring.fixed, GROUP, "demo.fixed=changed\n", "properties")
        equal((spring.listeners(spring.fixed), len(spring.listeners(spring.msg))), ({}, 1), "addresses that listen")
        spring.judge("consumer")
        if spring.imports_anew:
            spring.wanted["fixed"] = "changed"
    with s.row("config_refresh"):
        spring.change("change 🦪 öröm")
        for name in ("steady", "consumer", "victim"):
            spring.refreshed(name)
    with s.row("app_closed"):
        stage.close("added")
        stage.gone("added")
        stage.calls_reach("victim", "steady", may_fail=True)
    with s.row("app_killed"):
        s.provider.kill()
        stage.gone("victim")
        stage.calls_reach("steady", may_fail=True)
    with s.row("app_outage"):
        s.server.kill()
        for _ in range(3):
            stage.calls_reach("steady")
    with s.row("app_return"):
        s.server.start()
        s.eventually(lambda: stage.listed() == {stage.ports["steady"]}, "the provider registered again")
        spring.start(spring.another_process("late"), "late")
        # A consumer that reconnects before its providers do is told, rightly, that there are none yet.
        stage.calls_reach("steady", "late", within=s.client.redo_within, may_fail=True)
    with s.row("config_return"):
        spring.change("after the outage")
        for name in ("steady", "consumer", "late"):
            spring.refreshed(name, within=s.client.redo_within)
