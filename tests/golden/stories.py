"""Random gRPC conversations of several connections: publishers, subscribers, listeners and watchers of one namespace.

After every change all connections wait until they are quiet, so that what is pushed to whom is part of the answer. The same
seed makes the same story.
"""
import random

QUIET = {"naming": 1.1, "config": 1.5, "fuzzy": 2.2}    # seconds without a push, after which nothing more comes
NAMESPACE = "{{ns}}"
VERSIONS = ["Nacos-Java-Client:v2.2.0", "Nacos-Go-Client:v2.3.5", "Nacos-Python-Client:v3.0.0", "Nacos-Java-Client:v3.1.0",
            "v2.0.1", "", "Nacos-CSharp-Client:v1.0", "unknown"]
CLUSTERS = ["", "", "", "c1", "c2", "DEFAULT", "c1,c2", "c2,c1", " c1", "c1,", "none", "C1"]
CONTENTS = ["one", "two", "three"]


class Story:
    """The steps so far, and who is connected."""

    def __init__(self, module, dice, quiet):
        self.module, self.dice, self.quiet, self.steps, self.alive = module, dice, quiet, [], []

    def chance(self, share):
        return self.dice.random() < share

    def open(self, name, **more):
        self.steps.append({"open": name, "module": self.module, **more})
        self.alive.append(name)

    def someone(self):
        return self.dice.choice(self.alive)

    def call(self, request, body, on=None, **more):
        self.steps.append({"on": on or self.someone(), "call": request, **more,
                           "body": {"headers": {}, "module": self.module, **body}})

    def settle(self, quiet=None):
        for number, name in enumerate(self.alive):
            self.steps.append({"on": name, "settle": (quiet or self.quiet) if number == 0 else 0.12, "all": True})

    def leave(self):
        """One goes, if another stays; who it was."""
        if len(self.alive) < 2:
            return None
        name = self.someone()
        self.alive.remove(name)
        self.steps.append({"close": name, "how": self.dice.choice(["close", "close", "reset"])})
        self.settle(self.quiet + 0.5)
        return name


def instance(dice, number=None, **more):
    number = number or dice.choice([1, 2, 3])
    made = {"ip": f"10.0.0.{number}", "port": number, "weight": dice.choice([1.0] * 10 + [0.0, 2.5, -1, 20000]),
            "healthy": dice.random() > 0.15, "enabled": dice.random() > 0.1, "ephemeral": True,
            "clusterName": dice.choice(["DEFAULT", "DEFAULT", "c1", "c2"]),
            "metadata": dice.choice([{}, {}, {"v": "1"}, {"preserved.heart.beat.interval": "1000", "x": "y"},
                                     {"preserved.register.source": "SPRING_CLOUD"}])}
    if dice.random() < 0.1:
        made["serviceName"] = dice.choice(["s", "G@@s", "other"])
    if dice.random() < 0.08:
        made["instanceId"] = dice.choice(["my-id", "", None])
    for key in list(made):
        if dice.random() < 0.03:
            del made[key]
    if dice.random() < 0.04:
        made[dice.choice(list(made))] = None
    return {**made, **more}


def naming(dice, turns=14, persistent=False, by_http=False):
    """Publishers and subscribers of one service or two."""
    it, services = Story("naming", dice, QUIET["naming"]), dice.choice([["s"], ["s", "t"]])
    for name in "ABC"[:dice.choice([2, 2, 3])]:
        more = {"clientVersion": dice.choice(VERSIONS)} if it.chance(0.25) else {}
        more |= {"clientIp": f"10.9.8.{dice.randrange(1, 9)}"} if it.chance(0.2) else {}
        more |= {"abilities": dice.choice([{}, None, {"fuzzyWatch": False}])} if it.chance(0.15) else {}
        more |= {"labels": dice.choice([{"AppName": "app"}, {"AppName": None}, {"AppName": "-"}])} if it.chance(0.15) else {}
        it.open(name, **more)

    def about(**more):
        return {"namespace": NAMESPACE, "serviceName": dice.choice(services),
                "groupName": dice.choice(["G"] * 9 + ["DEFAULT_GROUP"]), **more}

    def subscribe(wanted=True):
        it.call("SubscribeServiceRequest", about(subscribe=wanted, clusters=dice.choice(CLUSTERS)))

    def register():
        it.call("InstanceRequest", about(type="registerInstance", instance=instance(dice)))

    def deregister():
        it.call("InstanceRequest", about(type="deregisterInstance", instance=instance(dice)))

    def batch():
        chosen = dice.choice([[1], [1, 2], [3, 2, 1], [1, 1], [], [2]])
        it.call("BatchInstanceRequest", about(type="batchRegisterInstance", instances=[instance(dice, one) for one in chosen]))

    def keep():
        kind = dice.choice(["registerInstance", "registerInstance", "deregisterInstance"])
        it.call("PersistentInstanceRequest", about(type=kind, instance=instance(dice, ephemeral=dice.choice([False, False, True]))))

    def look():
        for _ in range(2):
            it.call("ServiceQueryRequest", about(cluster=dice.choice(CLUSTERS), healthyOnly=it.chance(0.4), udpPort=0))
        it.call("ServiceListRequest", {"namespace": NAMESPACE, "serviceName": "", "groupName": "G", "pageNo": 1, "pageSize": 10},
                unordered=["$..serviceNames"])

    def part():
        name = it.leave()
        if name and it.chance(0.6):
            it.open(name)

    ways = [subscribe] * 20 + [lambda: subscribe(False)] * 7 + [register] * 20 + [deregister] * 10 + [batch] * 10
    ways += [look] * 10 + [part] * 6 + [keep] * (8 if persistent else 0)
    ways += [lambda: operator_of_services(it, services)] * (6 if by_http else 0)
    for _ in range(turns):
        way = dice.choice(ways)
        way()
        if way not in (look, part):
            it.settle()
    for service in services:
        it.call("ServiceQueryRequest", {"namespace": NAMESPACE, "serviceName": service, "groupName": "G", "cluster": "",
                                        "healthyOnly": False, "udpPort": 0}, on=it.alive[0])
    return it.steps


def operator_of_services(it, services):
    dice = it.dice
    number, kind = dice.choice([1, 2, 3]), dice.choice(["service.create", "service.update", "service.delete", "instance.update",
                                                        "instance.health", "instance.register", "instance.deregister"])
    params = {"serviceName": dice.choice(services), "groupName": "G", "namespaceId": NAMESPACE}
    if kind == "service.create":
        params |= {"protectThreshold": dice.choice(["0", "0.5", "1"]), "ephemeral": dice.choice(["true", "false"]), "metadata": '{"a":"b"}'}
    elif kind == "service.update":
        params |= {"protectThreshold": dice.choice(["0", "0.7"]), "metadata": '{"c":"d"}'}
    elif kind.startswith("instance"):
        params |= {"ip": f"10.0.0.{number}", "port": str(number), "clusterName": dice.choice(["DEFAULT", "c1"]),
                   "ephemeral": dice.choice(["true", "false"]) if kind == "instance.update" else "false",
                   "weight": dice.choice(["1", "3"]), "enabled": dice.choice(["true", "false"]),
                   "healthy": dice.choice(["true", "false"]), "metadata": '{"k":"v"}'}
    it.steps.append({"http": kind, "params": params})


def config(dice, turns=14, by_http=False):
    """Publishers, listeners and readers of one config or two, gray versions included."""
    it, names = Story("config", dice, QUIET["config"]), dice.choice([["d"], ["d", "e"]])
    for number, name in enumerate("ABC"[:dice.choice([2, 2, 3])]):
        labels = {"Vipserver-Tag": dice.choice(["t1", "t2"])} if it.chance(0.35) else {}
        labels |= {"AppName": dice.choice(["app", None, "-"])} if it.chance(0.2) else {}
        more = {"labels": labels} if labels else {}
        more |= {"clientVersion": dice.choice(VERSIONS)} if it.chance(0.2) else {}
        it.open(name, clientIp=f"10.9.8.{7 + number}", **more)

    def about(**more):
        return {"dataId": dice.choice(names), "group": "G", "tenant": NAMESPACE, **more}

    def md5():
        return dice.choice(["{{md5:one}}", "{{md5:one}}", "{{md5:two}}", "{{md5:three}}", "", "x", None])

    def publish():
        body, more = about(content=dice.choice(CONTENTS) if it.chance(0.93) else dice.choice(["", None, "一二"])), {}
        aim = dice.random()
        if aim < 0.22:
            more["betaIps"] = dice.choice(["10.9.8.7", "10.9.8.8", "10.9.8.7,10.9.8.8", " 10.9.8.7", "10.9.8.7,", "127.0.0.1", "x"])
        elif aim < 0.42:
            more["tag"] = dice.choice(["t1", "t1", "t2", " t1", ""])
        for key, values in (("type", ["yaml", "json", "nope", "TEXT", ""]), ("appName", ["ap"]), ("config_tags", ["x,y"]),
                            ("encryptedDataKey", ["k"]), ("src_user", ["u"]), ("desc", ["de"])):
            if it.chance(0.12):
                more[key] = dice.choice(values)
        body |= {"additionMap": more} if more else {}
        body |= {"casMd5": md5()} if it.chance(0.25) else {}
        it.call("ConfigPublishRequest", body)

    def remove():
        it.call("ConfigRemoveRequest", about(**({"tag": dice.choice(["t1", "t2", ""])} if it.chance(0.4) else {})))

    def listen():
        chosen = dice.choice([names[:1], names, ["d", "e", "f"], ["d", "d"]])
        it.call("ConfigBatchListenRequest", {"listen": it.chance(0.8), "configListenContexts": [
            {"group": "G", "md5": md5(), "dataId": name, "tenant": NAMESPACE} for name in chosen]})

    def look():
        for _ in range(2):
            it.call("ConfigQueryRequest", about(**({"tag": dice.choice(["t1", "t2", "none", ""])} if it.chance(0.4) else {})))

    def part():
        name = it.leave()
        if name and it.chance(0.7):
            it.open(name, clientIp="10.9.8.9")

    def operate():
        kind = dice.choice(["config.publish", "config.publish", "config.remove", "config.beta.stop"])
        params = {"dataId": dice.choice(names), "groupName": "G", "namespaceId": NAMESPACE}
        params |= {"content": dice.choice(CONTENTS), "type": dice.choice(["yaml", "text"])} if kind == "config.publish" else {}
        it.steps.append({"http": kind, "params": params})

    ways = [publish] * 33 + [remove] * 10 + [listen] * 22 + [look] * 20 + [part] * 4 + [operate] * (7 if by_http else 0)
    for _ in range(turns):
        way = dice.choice(ways)
        way()
        if way not in (look, part):
            it.settle()
    for name in names:
        it.call("ConfigQueryRequest", {"dataId": name, "group": "G", "tenant": NAMESPACE}, on=it.alive[0])
    return it.steps


PATTERNS = [f"{NAMESPACE}>>{rest}" for rest in ("G>>app*", "*>>app*", "G>>*", "*>>*", "G>>app1", "G*>>*p*", "G>>", "G>>APP*", "H>>*")] + ["app*"]
WATCHED = ["app1", "app2", "zap", "api"]


def fuzzy(dice, module, turns=10):
    """Watchers of patterns while what they match comes and goes."""
    it = Story(module, dice, QUIET["fuzzy"])
    for name in "ABW":
        it.open(name)
    separator = "@@" if module == "naming" else ">>"

    def watch():
        known = [separator.join((NAMESPACE, "G", name)) for name in dice.sample(WATCHED, dice.randrange(3))]
        body = {"groupKeyPattern": dice.choice(PATTERNS), "watchType": dice.choice(["WATCH"] * 3 + ["CANCEL_WATCH"]),
                "initializing": it.chance(0.7), "receivedGroupKeys": known}
        if module == "naming":
            it.call("NamingFuzzyWatchRequest", {**body, "namespace": dice.choice([NAMESPACE, NAMESPACE, ""])})
        else:
            it.call("ConfigFuzzyWatchRequest", body)

    def change():
        name, group = dice.choice(WATCHED), dice.choice(["G", "G", "H"])
        if module == "config":
            key = {"dataId": name, "group": group, "tenant": NAMESPACE}
            if it.chance(0.6):
                it.call("ConfigPublishRequest", {**key, "content": dice.choice(CONTENTS)})
            else:
                it.call("ConfigRemoveRequest", key)
            return
        key = {"namespace": NAMESPACE, "serviceName": name, "groupName": group}
        kind = dice.choice(["registerInstance", "registerInstance", "deregisterInstance"])
        if it.chance(0.85):
            it.call("InstanceRequest", {**key, "type": kind, "instance": instance(dice)})
        else:
            it.call("PersistentInstanceRequest", {**key, "type": kind, "instance": instance(dice, ephemeral=False)})

    for _ in range(turns):
        way = dice.choice([watch] * 4 + [change] * 5 + ([it.leave] if len(it.alive) > 2 else [change]))
        way()
        if way != it.leave:
            it.settle()
    return it.steps


KINDS = {"naming": naming, "naming-persistent": lambda dice: naming(dice, persistent=True),
         "naming-operator": lambda dice: naming(dice, persistent=True, by_http=True), "config": config,
         "config-operator": lambda dice: config(dice, by_http=True), "fuzzy-naming": lambda dice: fuzzy(dice, "naming"),
         "fuzzy-config": lambda dice: fuzzy(dice, "config")}


def story(kind, seed):
    """A scenario in golden_grpc.py's form."""
    return {"purpose": f"A random story: {kind}", "requires": ["open"], "vars": {"ns": "story-{{run}}"}, "unordered": ["$..hosts"],
            "steps": KINDS[kind](random.Random(seed))}
