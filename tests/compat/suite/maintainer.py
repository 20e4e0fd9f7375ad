"""The maintainer client: every method it has, by reflection, each overload with arguments by the names of its parameters.

A row stands for one method with all its overloads. What nacre does not serve yet is a row of kind `later` with the
endpoints that the client asked for and that were answered with 404: neither passed nor failed. When such an endpoint is
served one day its row fails until somebody says here what the answer must be.
"""

import http.client
import json
import re
import threading
import time
import urllib.parse

from .applications import mark
from .behaviours import equal, md5
from .driver import DriverError
from .recorder import Recorder
from .server import HOST, ask

FLOWS = []
GROUP = "DEFAULT_GROUP"
PUBLIC = "public"
UTF8 = {"név": "árvíztűrő 🦪"}
PUBLISHER = "10.9.20.1"
WATCHER = "10.9.20.2"
LATER = "later"
LISTENED = "listened to"


def true(value):
    equal(value, True, "the answer")


def ok(value):
    equal(value, "ok", "the answer")


class Shelf:
    """What the calls find, and the values of their parameters."""

    def __init__(self, s):
        self.s = s
        self.service = s.name("kept")
        self.config = s.name("kept")
        self.listened = s.name("listened")
        self.space = s.name("space").replace(".", "-")
        self.here = {"ip": HOST, "port": s.server.port, "clusterName": "DEFAULT", "ephemeral": False, "weight": 1.0,
                     "enabled": True, "healthy": True, "metadata": UTF8}
        self.beating = {"ip": PUBLISHER, "port": 8080}
        self.values = {
            "namespaceId": PUBLIC, "groupName": GROUP, "serviceName": self.service, "clusterName": "DEFAULT",
            "groupNameParam": GROUP, "serviceNameParam": self.service, "ip": HOST, "port": s.server.port,
            "instance": self.here, "instances": [self.here], "ephemeral": False, "protectThreshold": 0.0,
            "service": self.named(self.service), "newMetadata": UTF8, "newProtectThreshold": 0.5,
            "newSelector": {"type": "none"}, "healthyOnly": False, "pageNo": 1, "pageSize": 100, "aggregation": True,
            "ignoreEmptyService": False, "dataId": self.config, "content": "content 🦪", "desc": "about", "type": "text",
            "appName": "app", "srcUser": "someone", "configTags": "one,two", "search": "blur", "configDetail": None,
            "betaIps": "10.9.21.1", "basic": "word", "namespaceName": "space", "namespaceDesc": "about",
            "onlyStatus": False, "address": "", "state": "", "logName": "naming-main", "logLevel": "INFO"}

    def named(self, name, **other):
        return dict({"namespaceId": PUBLIC, "groupName": GROUP, "name": name, "ephemeral": False,
                     "protectThreshold": 0.0, "metadata": {}}, **other)

    def set(self):
        """One service with a persistent instance, one with a beating one and a UDP subscriber, one config, one listener."""
        post = self.s.server.request
        for service, instance, ephemeral in ((self.service, self.here, "false"), (self.live(), self.beating, "true")):
            equal(post("POST", "/nacos/v1/ns/instance", serviceName=service, groupName=GROUP, ip=instance["ip"],
                       port=instance["port"], ephemeral=ephemeral, metadata=json.dumps(UTF8))[0], 200, "registering")
        query = urllib.parse.urlencode({"serviceName": self.live(), "groupName": GROUP, "udpPort": 9, "clientIP": WATCHER})
        # Who is pushed to is decided by the name of the SDK.
        equal(ask(f"http://{HOST}:{self.s.server.port}/nacos/v1/ns/instance/list?{query}",
                  **{"User-Agent": "Nacos-Java-Client:v1.4.8"})[0], 200, "subscribing")
        self.publish()

    def live(self):
        return self.service + ".live"

    def publish(self):
        self.s.server.publish(self.config, GROUP, "content 🦪")

    def history(self):
        status, text = self.s.server.get("/nacos/v3/admin/cs/history/list", dataId=self.config, groupName=GROUP,
                                         namespaceId=PUBLIC, pageNo=1, pageSize=100)
        equal(status, 200, f"the history ({text})")
        return json.loads(text)["data"]["pageItems"]

    def config_id(self, data_id=None):
        status, text = self.s.server.get("/nacos/v3/admin/cs/config", dataId=data_id or self.config, groupName=GROUP)
        equal(status, 200, f"the config ({text})")
        return int(json.loads(text)["data"]["id"])


class Call:
    """How a method is called and judged: values over the shelf's, what comes before each overload, what it must answer.
    Overloads with the parameters named in `refused` must be refused with that text, as by the reference."""

    def __init__(self, judge, before=None, values=None, refused=None):
        self.judge = judge
        self.before = before
        self.values = values or {}
        self.refused = refused or {}

    def refusal(self, overload):
        names = tuple(re.findall(r" (\w+)[,)]", overload))
        return self.refused.get(names)


def calls(shelf):
    s, server = shelf.s, shelf.s.server

    def says(what, wanted):
        def judge(value):
            equal(what(value), wanted, "the answer")
        return judge

    def there(predicate, what):
        def judge(value):
            if not predicate(value):
                raise AssertionError(f"{what}: {json.dumps(value, ensure_ascii=False)[:400]}")
        return judge

    def names(page, key="name"):
        return [item[key] for item in page["pageItems"]]

    made = s.name("made")
    making = {"serviceName": made, "service": shelf.named(made)}
    makes = {"serviceName": made, "groupName": GROUP, "namespaceId": PUBLIC}

    def unmake():
        server.request("DELETE", "/nacos/v1/ns/service", **makes)

    def make():
        server.request("POST", "/nacos/v1/ns/service", **makes)

    def service_is_made(value):
        ok(value)
        equal(server.get("/nacos/v3/admin/ns/service", **makes)[0], 200, "status of the service made")

    def service_is_gone(value):
        ok(value)
        equal(server.get("/nacos/v3/admin/ns/service", **makes)[0], 400, "status of the service removed")

    def changed(value):
        ok(value)
        data = json.loads(server.get("/nacos/v3/admin/ns/service", serviceName=shelf.service)[1])["data"]
        equal((data["metadata"], data["protectThreshold"]), (UTF8, 0.5), "the service")

    other = dict(shelf.here, ip="10.9.20.9", port=9)
    others = {"serviceName": shelf.service + ".other", "service": shelf.named(shelf.service + ".other"), "ip": other["ip"],
              "port": other["port"], "instance": other}

    def enter():
        server.request("POST", "/nacos/v1/ns/instance", serviceName=others["serviceName"], ip=other["ip"],
                       port=other["port"], ephemeral="false")

    def leave():
        server.request("DELETE", "/nacos/v1/ns/instance", serviceName=others["serviceName"], ip=other["ip"],
                       port=other["port"], ephemeral="false")

    def listed(wanted):
        def judge(value):
            ok(value)
            equal([host["ip"] for host in server.hosts(others["serviceName"], GROUP)], wanted, "the server's own list")
        return judge

    def updated(value):
        ok(value)
        equal([(host["ip"], host["weight"], host["metadata"]) for host in server.hosts(shelf.service, GROUP)],
              [(HOST, 7.0, dict(UTF8, a="b"))], "the server's own list")

    def metadata_is_new(value):
        true(value)
        data = json.loads(server.get("/nacos/v3/admin/cs/config", dataId=shelf.config, groupName=GROUP)[1])["data"]
        equal((data["desc"], data["configTags"], data["content"]), ("other 🦪", "one,two", "content 🦪"), "the config")

    def space(namespace_id):
        return [one for one in json.loads(server.get("/nacos/v3/admin/core/namespace/list")[1])["data"]
                if one["namespace"] == namespace_id]

    def new_space():
        server.request("POST", "/nacos/v3/admin/core/namespace", namespaceId=shelf.space, namespaceName="space")

    def no_space():
        server.request("DELETE", "/nacos/v3/admin/core/namespace", namespaceId=shelf.space)

    def betas():
        server.publish(shelf.config, GROUP, "beta 🦪", betaIps="10.9.21.1")

    def config_is(wanted):
        def judge(value):
            true(value)
            equal(server.config(shelf.config, GROUP), wanted, "the config")
        return judge

    has_config = there(lambda page: shelf.config in names(page, "dataId"), "the page holds the config")
    client = f"{shelf.beating['ip']}:{shelf.beating['port']}#true"
    subscriber = f"{WATCHER}:9#true"
    live = {"serviceName": shelf.live(), "service": shelf.named(shelf.live(), ephemeral=True)}

    return {
        "Core.getServerState": Call(there(lambda v: v["startup_mode"] == "standalone" and "version" in v, "state")),
        "Core.liveness": Call(true),
        "Core.readiness": Call(true),
        "Core.updateLogLevel": Call(says(type, type(None)), None, {"logName": "core"}),
        "Core.getIdGenerators": Call(there(
            lambda v: v and all(one["resource"] and one["info"]["currentId"] >= 0 for one in v), "generators")),
        "Core.listClusterNodes": Call(says(lambda v: [node["state"] for node in v], ["UP"])),
        "Core.getCurrentClients": Call(says(lambda v: type(v), dict)),
        "Core.reloadConnectionCount": Call(says(type, type(None)), values={"count": 1000, "redirectAddress": ""}),
        "Core.reloadSingleClient": Call(says(type, type(None)), values={"connectionId": "none", "redirectAddress": ""}),
        "Core.smartReloadCluster": Call(there(lambda v: v is None or isinstance(v, str), "text"),
                                        values={"loaderFactorStr": "0.1"}),
        "Core.getClusterLoaderMetrics": Call(says(lambda v: (v["memberCount"], v["completed"]), (1, True))),
        "Core.getNamespaceList": Call(there(lambda v: any(one["namespace"] == PUBLIC for one in v), "public is listed")),
        "Core.getNamespace": Call(says(lambda v: (v["namespace"], v["type"]), (PUBLIC, 0))),
        "Core.checkNamespaceIdExist": Call(true, new_space, {"namespaceId": shelf.space}),
        # The client leaves out the empty id that its own shorter form passes on.
        "Core.createNamespace": Call(true, no_space, {"namespaceId": shelf.space}, {
            ("namespaceName", "namespaceDesc"): "required parameter 'namespaceId' is missing"}),
        "Core.updateNamespace": Call(lambda v: (true(v), equal(space(shelf.space)[0]["namespaceDesc"], "about 🦪", "text")),
                                     new_space, {"namespaceId": shelf.space, "namespaceDesc": "about 🦪"}),
        "Core.deleteNamespace": Call(lambda v: (true(v), equal(space(shelf.space), [], "the namespace")), new_space,
                                     {"namespaceId": shelf.space}),
        "Service.createService": Call(service_is_made, unmake, making),
        "Service.removeService": Call(service_is_gone, make, making),
        "Service.updateService": Call(changed, None, {"service": shelf.named(shelf.service, metadata=UTF8,
                                                                             protectThreshold=0.5)}),
        "Service.getServiceDetail": Call(says(lambda v: (v["serviceName"], v["groupName"], list(v["clusterMap"])),
                                              (shelf.service, GROUP, ["DEFAULT"]))),
        "Service.listServices": Call(there(lambda v: shelf.service in names(v), "the service is listed")),
        "Service.listServicesWithDetail": Call(there(lambda v: shelf.service in names(v, "serviceName"), "listed")),
        "Service.getSubscribers": Call(says(lambda v: names(v, "ip"), [WATCHER]), None, live),
        "Instance.registerInstance": Call(listed([other["ip"]]), leave, others),
        "Instance.deregisterInstance": Call(listed([]), enter, others),
        "Instance.updateInstance": Call(updated, None, {"instance": dict(shelf.here, weight=7.0, metadata={"a": "b"})}),
        "Instance.partialUpdateInstance": Call(updated, None, {"instance": dict(shelf.here, weight=7.0,
                                                                                metadata={"a": "b"})}),
        "Instance.batchUpdateInstanceMetadata": Call(says(lambda v: len(v["updated"]), 1)),
        "Instance.batchDeleteInstanceMetadata": Call(says(lambda v: len(v["updated"]), 1)),
        "Instance.listInstances": Call(says(lambda v: [(one["ip"], one["port"]) for one in v],
                                            [(HOST, server.port)])),
        "Instance.getInstanceDetail": Call(says(lambda v: (v["ip"], v["port"], v["ephemeral"]),
                                                (HOST, server.port, False))),
        "NamingClient.getClientDetail": Call(says(lambda v: (v["clientId"], v["ephemeral"]), (client, True)), None,
                                             {"clientId": client}),
        "NamingClient.getPublishedServiceList": Call(says(lambda v: [one["serviceName"] for one in v], [shelf.live()]),
                                                     None, {"clientId": client}),
        "NamingClient.getSubscribeServiceList": Call(says(lambda v: [one["serviceName"] for one in v], [shelf.live()]),
                                                     None, {"clientId": subscriber}),
        "NamingClient.getPublishedClientList": Call(says(lambda v: [one["clientId"] for one in v], [client]), None,
                                                    dict(live, **shelf.beating)),
        "NamingClient.getSubscribeClientList": Call(says(lambda v: [one["clientId"] for one in v], [subscriber]), None,
                                                    dict(live, ip=WATCHER, port=9)),
        "Naming.getMetrics": Call(says(lambda v: v["status"], "UP")),
        "Naming.setLogLevel": Call(ok),
        "ConfigOps.setLogLevel": Call(says(
            lambda v: v, "Log level updated successfully! Module: config-server, Log Level: INFO"), None,
            {"logName": "config-server"}),
        "ConfigOps.updateLocalCacheFromStore": Call(says(lambda v: v, "Local cache updated from store successfully!")),
        "Naming.updateCluster": Call(ok, None, {"cluster": {"clusterName": "DEFAULT", "healthyCheckPort": 80,
                                                            "useInstancePortForCheck": True, "metadata": {},
                                                            "healthChecker": {"type": "NONE"}}}),
        # The reference takes every instance whose health is set by hand for an ephemeral one.
        "Naming.updateInstanceHealthStatus": Call(ok, refused={
            ("service", "instance"): "is persistent service, can't register ephemeral instance"}),
        "Config.fillAllPattern": Call(says(lambda v: v, "*word*")),
        "Config.getConfig": Call(says(lambda v: (v["content"], v["dataId"]), ("content 🦪", shelf.config)), shelf.publish),
        "Config.publishConfig": Call(config_is("new 🦪"), None, {"content": "new 🦪"}),
        "Config.updateConfigMetadata": Call(metadata_is_new, shelf.publish, {"description": "other 🦪"}),
        "Config.deleteConfig": Call(config_is(None), shelf.publish),
        "Config.deleteConfigs": Call(config_is(None), shelf.publish, {"ids": lambda: [shelf.config_id()]}),
        "Config.listConfigs": Call(has_config, shelf.publish, {"configTags": "", "appName": "", "type": ""}),
        "Config.searchConfigs": Call(has_config, shelf.publish, {"configTags": "", "appName": "", "type": ""}),
        "Config.searchConfigByDetails": Call(has_config, shelf.publish, {"configTags": "", "appName": "", "type": ""}),
        "Config.getConfigListByNamespace": Call(there(lambda v: shelf.config in [one["dataId"] for one in v], "listed"),
                                                shelf.publish),
        "Config.cloneConfig": Call(says(lambda v: v["succCount"], 1), lambda: (shelf.publish(), new_space()), {
            "namespaceId": shelf.space, "policy": "OVERWRITE", "cloneInfos": lambda: [
                {"configId": shelf.config_id(), "targetDataId": shelf.config, "targetGroupName": GROUP}]}),
        "Config.getListeners": Call(says(lambda v: v["listenersStatus"], {HOST: md5(LISTENED)}), None,
                                    {"dataId": shelf.listened}),
        "Config.getAllSubClientConfigByIp": Call(there(
            lambda v: [v["listenersStatus"][key] for key in v["listenersStatus"] if shelf.listened in key]
            == [md5(LISTENED)], "the listener"), None, {"ip": HOST, "all": True}),
        **{f"Ai.{part}": Call(there(lambda v: v.endswith("ServiceImpl"), "the part of the client"))
           for part in ("a2a", "agentSpec", "mcp", "pipeline", "prompt", "skill")},
        "BetaConfig.publishBetaConfig": Call(true, shelf.publish, {"content": "beta 🦪"}),
        "BetaConfig.queryBeta": Call(says(lambda v: (v["content"], v["grayName"]), ("beta 🦪", "beta")), betas),
        "BetaConfig.stopBeta": Call(true, betas),
        "ConfigHistory.listConfigHistory": Call(has_config, shelf.publish),
        "ConfigHistory.getConfigHistoryInfo": Call(says(lambda v: v["dataId"], shelf.config), shelf.publish,
                                                   {"nid": lambda: int(shelf.history()[0]["id"])}),
        "ConfigHistory.getPreviousConfigHistoryInfo": Call(says(lambda v: v["dataId"], shelf.config), lambda: (
            shelf.publish(), server.publish(shelf.config, GROUP, "again"), shelf.publish()),
            {"id": lambda: shelf.config_id()}),
    }


# The client of this version reads these answers wrongly, the reference's too: what the server said is judged instead.
MISREAD = ("Service.listSelectorTypes", "NamingClient.getClientList", "Naming.getHealthCheckers")
# It asks no server.
LOCAL = ("Config.fillAllPattern", "Ai.a2a", "Ai.agentSpec", "Ai.mcp", "Ai.pipeline", "Ai.prompt", "Ai.skill")
BLANKS = {"int": 1, "long": 1, "java.lang.Integer": 1, "java.lang.Long": 1, "float": 0.5, "boolean": False,
          "java.lang.Boolean": False, "java.lang.String": "blank", "byte[]": ""}


def blanks(signature):
    """A value for each parameter of a call of which nothing is expected but that it asks."""
    parameters = re.findall(r"([\w.]+(?:<[^(]*?>)?(?:\[\])?) (\w+)(?:, |\))", signature)
    values = {name: BLANKS.get(kind, [] if kind.startswith("java.util.List") else {}) for kind, name in parameters}
    if "createLocalMcpServer" in signature:
        values["serverSpec"] = {"protocol": "stdio"}  # the client refuses any other before it asks
    return values


class Listener(threading.Thread):
    """Somebody who listens to a config, by long polls."""

    def __init__(self, s, shelf):
        super().__init__(daemon=True)
        s.server.publish(shelf.listened, GROUP, LISTENED)
        self.body = "Listening-Configs=" + urllib.parse.quote(
            f"{shelf.listened}\x02{GROUP}\x02{md5(LISTENED)}\x02\x01")
        self.port = s.server.port
        self.ended = False

    def run(self):
        while not self.ended:
            connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
            try:
                connection.request("POST", "/nacos/v1/cs/configs/listener", self.body, {
                    "Long-Pulling-Timeout": "30000", "Content-Type": "application/x-www-form-urlencoded"})
                connection.getresponse().read()
            except OSError:
                return  # the server is gone: the row that counts on this listener says so
            finally:
                connection.close()


@mark(FLOWS, "methods")
def every_method(s):
    recorder = Recorder(s.server)
    shelf = Shelf(s)
    client = s.start_driver("maintainer", port=recorder.port)
    try:
        with s.row("methods"):
            client.ready()
            shelf.set()
            signatures = client.call("methods")
            if not signatures:
                raise AssertionError("the client has no methods")
        known = calls(shelf)
        methods = {}
        for signature in signatures:
            name = re.match(r"(\w+)MaintainerService\.(\w+)", signature)
            methods.setdefault(f"{name[1]}.{name[2]}", []).append(signature)
        listener = Listener(s, shelf)
        listener.start()
        for name, overloads in methods.items():
            start = time.monotonic()
            ok, kind, detail = judged(client, recorder, shelf, name, overloads, known.get(name))
            s.report.add(s.client, name, ok, detail, (time.monotonic() - start) * 1000, kind=kind)
        for name in known.keys() - methods.keys():
            s.report.add(s.client, name, False, "the client has no such method")
        listener.ended = True
    finally:
        recorder.close()


def judged(client, recorder, shelf, name, overloads, call):
    """Whether the row is right (None when that is for later), its kind, and what was asked or went wrong."""
    asked, wrong, silent = [], [], 0
    for overload in overloads:
        try:
            if call and call.before:
                call.before()
            values = dict(shelf.values, **call.values) if call else blanks(overload)
            values = {key: value() if callable(value) else value for key, value in values.items()}
            recorder.take()
            refusal = call and call.refusal(overload)
            try:
                value = client.call("call", method=overload, values=values)
                if refusal:
                    raise AssertionError(f"not refused but answered {value}")
                if call:
                    call.judge(value)
            except DriverError as failure:
                if not refusal or refusal not in str(failure):
                    raise
        except Exception as failure:
            wrong.append(f"{overload}: {type(failure).__name__}: {failure}")
        seen = recorder.take()
        asked += seen
        if not seen and name not in LOCAL:
            silent += 1
            wrong.append(f"{overload}: nothing was asked")
    endpoints = ", ".join(sorted({f"{method} {path}" for method, path, _, _ in asked}))
    if call:
        return not wrong, "", "; ".join(wrong) or endpoints
    if name in MISREAD:
        right = bool(asked) and all(status == 200 and json.loads(text)["code"] == 0 for _, _, status, text in asked)
        return right, "", endpoints if right else str(asked)
    if not silent and all(status == 404 and 'type=Not Found, status=404' in text for _, _, status, text in asked):
        return None, LATER, endpoints
    return False, "", f"nothing says what it must answer: {[(*call[:3], call[3][:80]) for call in asked]} {wrong}"
