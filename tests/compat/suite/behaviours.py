"""What every SDK must see, as flows of rows. A row stands for one behaviour; a flow shares what its rows build on.

The provider and the consumer are different processes, so whatever the consumer sees has crossed the server. Nothing
sleeps: a wait ends when its predicate holds. A write that was acknowledged must be visible to the next read.
"""

import hashlib
import os
import time

from .report import FlowBroken
from .server import HOST

GROUP = "compat"
UTF8 = {"version": "1", "név": "árvíztűrő 珍珠 🦪", "quoting": '=&%+"\\ ;,'}
YAML = "# ünïcode 珍珠 🦪 𝄞\nurl: \"jdbc:h2://h/db?a=1&b=%41+c\"\nlist:\n  - 'one'\n\t\n  - two\r\nlast: no newline"
LARGE = 1_100_000
# Short enough for a test, long enough for an SDK on a busy machine that beats once a second or, before its server told it
# to, once in five.
BEAT_TIMERS = {"preserved.heart.beat.interval": "1000", "preserved.heart.beat.timeout": "8000",
               "preserved.ip.delete.timeout": "11000"}
AT_ONCE = 5
SILENCE_WITHIN = 60


class Behaviour:
    def __init__(self, name, title):
        self.name = name
        self.title = title


BEHAVIOURS = [Behaviour(name, title) for name, title in (
    ("install", "installs unmodified from its registry, creates its clients"),
    ("server_status", "sees the server as healthy"),
    ("register", "registers; a subscriber is pushed the instance with its UTF-8 metadata"),
    ("list", "lists instances"),
    ("metadata_update", "changes metadata; the subscriber is pushed exactly the new map"),
    ("clusters", "filters by cluster"),
    ("select_healthy", "selects healthy instances: none disabled, none of weight 0"),
    ("service_list", "lists services"),
    ("deregister", "deregisters; the subscriber is pushed the rest"),
    ("empty_push", "the subscriber is pushed the empty list after the last one left"),
    ("batch_register", "registers a batch"),
    ("batch_replace", "a second batch replaces the first"),
    ("batch_deregister", "deregisters parts of a batch, then the rest"),
    ("persistent", "registers, sees and removes a persistent instance"),
    ("service_admin", "creates, reads, updates and deletes a service"),
    ("service_ways", "the same by every method of the maintain API"),
    ("instance_admin", "updates an instance by the maintain API"),
    ("fuzzy_naming", "fuzzy watch of services: what is there, what comes, what goes"),
    ("config_absent", "an absent config is absent, and no error"),
    ("publish", "publishes; the next read of another client has it"),
    ("listen", "a listener hears a change"),
    ("utf8_content", "UTF-8 content with emoji, CRLF and URL characters arrives exactly"),
    ("large_content", "1.1 MB of content arrives exactly"),
    ("remove", "removes; the next read finds nothing"),
    ("remove_event", "the listener hears of the removal"),
    ("republish", "the listener hears of the config published again"),
    ("cas_absent", "compare-and-set creates an absent config"),
    ("cas_wrong", "compare-and-set with a wrong md5 changes nothing and says so"),
    ("cas_right", "compare-and-set with the right md5 publishes"),
    ("fuzzy_config", "fuzzy watch of configs: what is there, what comes, what goes"),
    ("credentials", "a configured user and password do no harm while authentication is off"),
    ("main_port", "gRPC on the main port as well"),
    ("namespace", "a namespace keeps its instances and configs to itself"),
    ("public_by_name", "the namespace `public` by name is the default one"),
    ("killed", "a killed process (SIGKILL) is gone at once"),
    ("restart_data", "server restarted (SIGTERM): configs and persistent instances are there when it is ready"),
    ("restart_redo", "server restarted: the SDK registers again by itself"),
    ("restart_push", "server restarted: subscriptions live on"),
    ("crash_data", "server killed (SIGKILL): every acknowledged write is there"),
    ("crash_redo", "server killed: the SDK registers again by itself"),
    ("crash_push", "server killed: subscriptions live on"),
    ("redo_listen", "after both: config listeners live on"),
    ("redo_fuzzy", "after both: fuzzy watches live on"),
    ("silent_expiry", "a frozen process (SIGSTOP) is taken out, its neighbour stays"),
    ("silent_return", "the process thawed (SIGCONT) is back by itself"),
    ("shutdown", "a clean shutdown takes its instances out at once"),
    ("server_log", "meanwhile the server logs neither an error nor a panic"),
    ("mixed_naming", "all SDKs on one server: sees the providers of all others"),
    ("mixed_config", "all SDKs on one server: hears the publications of all others"),
)]

FLOWS = []


def flow(*rows):
    """Marks a scenario and names the rows it must produce: one that is missing at its end is a failure, never a gap."""
    def mark(scenario):
        FLOWS.append((scenario, rows))
        return scenario
    return mark


class Session:
    """One SDK against one server of its own."""

    def __init__(self, client, server, report, start_driver):
        self.client = client
        self.server = server
        self.report = report
        self.start_driver = start_driver
        self.provider = None
        self.consumer = None
        self.token = f"{os.getpid():x}{int(time.time() * 1000):x}"
        self.done = set()

    def name(self, what):
        return f"{self.client.name}.{what}.{self.token}"

    def offers(self, behaviour):
        return behaviour not in self.client.lacks

    def row(self, behaviour):
        self.done.add(behaviour)
        return self.report.row(self.client, behaviour)

    def run(self, flows=FLOWS):
        with self.row("install"):
            self.provider = self.start_driver("provider")
            self.consumer = self.start_driver("consumer")
            self.provider.ready()
            self.consumer.ready()
        for scenario, rows in flows:
            wanted = [row for row in rows if self.offers(row)]
            if not wanted:
                continue
            reason = "the scenario did not get there"
            try:
                scenario(self)
            except FlowBroken as broken:
                reason = f"not reached: `{broken}` failed before it"
            except Exception as failure:  # between two rows; the rows that lack for it are recorded below
                reason = f"{type(failure).__name__}: {failure}"
            for row in wanted:
                if row not in self.done:
                    self.report.add(self.client, row, False, reason)

    def judge_log(self):
        """Whatever the SDK sees, a server that panicked or reported an error meanwhile is not right."""
        with self.row("server_log"), open(self.server.log, encoding="utf-8", errors="replace") as log:
            wrong = [line.strip() for line in log if "panicked at" in line or " ERROR " in line]
            equal(wrong[:5], [], "errors in the server's log")

    def accepted(self, action, what):
        """Repeats a write that fails while the SDK is reconnecting, as an application does."""
        self.eventually(lambda: (action(), True)[1], what)

    def eventually(self, attempt, what, within=None):
        """Repeats a question whose answer is not pushed, such as the server's own list."""
        within = within or self.client.redo_within
        deadline = time.monotonic() + within
        while True:
            try:
                seen = attempt()
                if seen:
                    return
            except Exception as failure:  # until the deadline every failure is one of a reconnecting client
                seen = failure
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not so within {within} s; last: {seen}")
            time.sleep(0.1)


def instance(ip, port=8080, **other):
    return dict({"ip": ip, "port": port, "weight": 1.0, "enabled": True, "ephemeral": True, "cluster": "DEFAULT",
                 "metadata": {}}, **other)


def same(host, wanted):
    keys = ("ip", "port", "weight", "ephemeral", "cluster", "metadata")
    return host["healthy"] and host["enabled"] and all(host[key] == wanted[key] for key in keys if key in host)


def exactly(*wanted):
    """The predicate of an event whose hosts are these and no others."""
    def holds(event):
        hosts = sorted(event["hosts"], key=lambda host: (host["ip"], host["port"]))
        expected = sorted(wanted, key=lambda one: (one["ip"], one["port"]))
        return len(hosts) == len(expected) and all(map(same, hosts, expected))
    return holds


def among(ip, **wanted):
    """The predicate of an event with this address among its hosts, with these values."""
    return lambda event: any(host["ip"] == ip and all(host[key] == value for key, value in wanted.items())
                             for host in event["hosts"])


def addresses(hosts):
    return sorted(host["ip"] for host in hosts)


def equal(seen, wanted, what):
    if seen != wanted:
        raise AssertionError(f"{what}: {str(seen)[:300]!r} instead of {str(wanted)[:300]!r}")


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


@flow("server_status")
def server_status(s):
    with s.row("server_status"):
        equal(s.consumer.call("status"), "UP", "server status")


@flow("register", "list", "metadata_update", "clusters", "select_healthy", "service_list", "deregister", "empty_push")
def naming(s):
    service = s.name("service")
    here = {"service": service, "group": GROUP}
    first = instance("10.9.1.1", metadata=UTF8, weight=2.0)
    with s.row("register"):
        s.consumer.call("subscribe", tag="naming", clusters=s.client.all_clusters, **here)
        s.provider.call("register", instance=first, **here)
        s.consumer.last("naming", exactly(first), "the registered instance")
        equal(addresses(s.server.hosts(service, GROUP)), ["10.9.1.1"], "the server's own list")
    with s.row("list"):
        for driver in (s.consumer, s.provider):
            hosts = driver.call("list", clusters=[], **here)
            if not exactly(first)({"hosts": hosts}):
                raise AssertionError(f"list: {hosts}")

    first = dict(first, metadata={"version": "2"})
    with s.row("metadata_update"):
        s.provider.call("update" if "update" in s.provider.ops else "register", instance=first, **here)
        s.consumer.last("naming", exactly(first), "the new metadata")

    # A gRPC client holds one instance per service, so the second one belongs to the consumer's process.
    second = instance("10.9.1.2", cluster="C2")
    with s.row("clusters"):
        s.consumer.call("register", instance=second, **here)
        s.consumer.last("naming", exactly(first, second), "both instances")
        equal(addresses(s.consumer.call("list", clusters=["C2"], **here)), ["10.9.1.2"], "list of cluster C2")
        equal(addresses(s.consumer.call("list", clusters=["DEFAULT"], **here)), ["10.9.1.1"], "list of cluster DEFAULT")
    with s.row("select_healthy"):
        _select_healthy(s, here, first, second)
    if s.offers("service_list"):
        with s.row("service_list"):
            found = s.consumer.call("services", page=1, size=2147483647, group=GROUP)
            if service not in found["names"] or found["count"] < 1:
                raise AssertionError(f"service list without {service}: {found}")

    with s.row("deregister"):
        s.provider.call("deregister", instance=first, **here)
        s.consumer.last("naming", exactly(second), "the instance that is left")
        equal(addresses(s.server.hosts(service, GROUP)), ["10.9.1.2"], "the server's own list")
    s.consumer.call("deregister", instance=second, **here)
    equal(s.server.hosts(service, GROUP), [], "the server's own list after the last one left")
    if s.offers("empty_push"):
        with s.row("empty_push"):
            s.consumer.last("naming", exactly(), "the empty list")
            equal(s.consumer.call("list", clusters=[], **here), [], "list")
    s.consumer.call("unsubscribe", tag="naming", clusters=s.client.all_clusters, **here)


def _select_healthy(s, here, first, second):
    update = "update" if "update" in s.provider.ops else "register"
    everywhere = {"clusters": s.client.all_clusters, **here}
    if "select_one" in s.consumer.ops:
        one = s.consumer.call("select_one", clusters=["C2"], **here)
        equal(one["ip"], "10.9.1.2", "one healthy instance of C2")
    s.provider.call(update, instance=dict(first, enabled=False), **here)
    s.consumer.last("naming", exactly(second), "a disabled instance is not shown")
    equal(addresses(s.consumer.call("select_healthy", **everywhere)), ["10.9.1.2"], "with one disabled")
    if s.client.zero_weight:
        idle = dict(first, weight=0.0)
        s.provider.call(update, instance=idle, **here)
        s.consumer.last("naming", exactly(idle, second), "an instance of weight 0 is shown")
        equal(addresses(s.consumer.call("select_healthy", **everywhere)), ["10.9.1.2"], "with one of weight 0")
    s.provider.call(update, instance=first, **here)
    s.consumer.last("naming", exactly(first, second), "both again")
    equal(addresses(s.consumer.call("select_healthy", **everywhere)), ["10.9.1.1", "10.9.1.2"], "both again")


@flow("batch_register", "batch_replace", "batch_deregister")
def batch(s):
    here = {"service": s.name("batch"), "group": GROUP}
    three = [instance(f"10.9.2.{number}", metadata={"n": str(number)}) for number in (1, 2, 3)]
    with s.row("batch_register"):
        s.consumer.call("subscribe", tag="batch", clusters=[], **here)
        s.provider.call("batch_register", instances=three, **here)
        s.consumer.last("batch", exactly(*three), "the batch of three")
    with s.row("batch_replace"):
        other = [three[0], instance("10.9.2.4")]
        s.provider.call("batch_register", instances=other, **here)
        s.consumer.last("batch", exactly(*other), "the second batch")
    if s.offers("batch_deregister"):
        with s.row("batch_deregister"):
            s.provider.call("batch_deregister", instances=other[:1], **here)
            s.consumer.last("batch", exactly(other[1]), "the rest of the batch")
            s.provider.call("batch_deregister", instances=other[1:], **here)
            s.consumer.last("batch", exactly(), "nothing left")
    s.consumer.call("unsubscribe", tag="batch", clusters=[], **here)


@flow("persistent")
def persistent(s):
    # Persistent instances are probed, so this one is the server's own open port.
    here = {"service": s.name("persistent"), "group": GROUP}
    lasting = instance(HOST, port=s.server.port, ephemeral=False, metadata=UTF8)
    with s.row("persistent"):
        s.provider.call("register", instance=lasting, **here)
        s.consumer.call("subscribe", tag="persistent", clusters=[], **here)
        s.consumer.last("persistent", exactly(lasting), "the persistent instance")
        equal([host["ephemeral"] for host in s.server.hosts(here["service"], GROUP)], [False], "the server's own list")
        s.provider.call("deregister", instance=lasting, **here)
        equal(s.server.hosts(here["service"], GROUP), [], "the server's own list after deregistering")
        s.consumer.call("unsubscribe", tag="persistent", clusters=[], **here)


@flow("service_admin")
def service_admin(s):
    here = {"service": s.name("admin"), "group": GROUP}
    with s.row("service_admin"):
        s.provider.call("service_create", threshold=0.5, **here)
        s.provider.call("service_update", threshold=0.25, metadata={"owner": "ops 🦪"}, **here)
        seen = s.consumer.call("service_get", **here)
        equal((seen["name"], seen["group"], seen["threshold"], seen["metadata"]),
              (here["service"], GROUP, 0.25, {"owner": "ops 🦪"}), "the service")
        s.provider.call("service_delete", **here)
        found = s.consumer.call("services", page=1, size=1000, group=GROUP)
        equal(here["service"] in found["names"], False, "the deleted service in the list")


@flow("service_ways")
def service_ways(s):
    here = {"service": s.name("ways"), "group": GROUP}
    with s.row("service_ways"):
        made, changed = {"made": "with 🦪"}, {"changed": "1"}

        def seen(threshold, metadata=None, group=GROUP):
            return [here["service"], group, threshold, metadata or {}]

        equal(s.provider.call("service_ways", **here), [
            seen(0.0, group="DEFAULT_GROUP"), True, seen(0.0), True, seen(0.25), True, seen(0.5), True,
            seen(0.75, made), seen(0.125, changed), 0.375, seen(0.5, made), True], "what each step left")


@flow("instance_admin")
def instance_admin(s):
    here = {"service": s.name("operated"), "group": GROUP}
    with s.row("instance_admin"):
        plain = instance("10.9.3.1", metadata={"version": "1"})
        s.provider.call("register", instance=plain, **here)
        s.consumer.call("subscribe", tag="admin", clusters=[], **here)
        s.consumer.last("admin", exactly(plain), "the instance")
        s.consumer.call("maintain_instance", instance=dict(plain, weight=3.0, metadata={"version": "3"}), **here)
        s.consumer.last("admin", exactly(dict(plain, weight=3.0, metadata={"version": "3"})), "the operator's values")
        s.provider.call("deregister", instance=plain, **here)
        s.consumer.call("unsubscribe", tag="admin", clusters=[], **here)
        if s.offers("service_ways"):
            # The same in the default group, which this form of the call leaves out.
            there = {"service": here["service"], "group": "DEFAULT_GROUP"}
            s.provider.call("register", instance=plain, **there)
            s.consumer.call("maintain_instance", service=here["service"], instance=dict(plain, weight=4.0))
            equal([host["weight"] for host in s.server.hosts(**there)], [4.0], "the operator's weight")
            s.provider.call("deregister", instance=plain, **there)


@flow("fuzzy_naming")
def fuzzy_naming(s):
    old, new = s.name("fuzzy.old"), s.name("fuzzy.new")
    with s.row("fuzzy_naming"):
        one = instance("10.9.4.1")
        s.provider.call("register", service=old, group=GROUP, instance=one)
        there = s.consumer.call("fuzzy_naming", tag="fuzzy-naming", pattern=f"{s.client.name}.fuzzy.*", group=GROUP)
        equal([old in key for key in there], [True], f"what is there: {there}")
        s.provider.call("register", service=new, group=GROUP, instance=one)
        s.consumer.some("fuzzy-naming", lambda e: e["change"] == ["ADD_SERVICE", new], "the new service")
        s.provider.call("deregister", service=new, group=GROUP, instance=one)
        s.consumer.some("fuzzy-naming", lambda e: e["change"] == ["DELETE_SERVICE", new], "the service gone")


@flow("config_absent", "publish", "listen", "utf8_content", "large_content", "remove", "remove_event", "republish")
def configs(s):
    data_id = s.name("config")
    key = {"dataId": data_id, "group": GROUP}
    with s.row("config_absent"):
        equal(s.consumer.call("get", dataId=s.name("never"), group=GROUP), None, "a config that never was")
    with s.row("publish"):
        s.provider.call("publish", content="first", **key)
        equal(s.consumer.call("get", **key), "first", "the next read")
        equal(s.server.config(data_id, GROUP), "first", "the server's own answer")
    with s.row("listen"):
        s.consumer.call("listen", tag="config", **key)
        s.provider.call("publish", content="second", **key)
        s.consumer.last("config", lambda e: e["content"] == "second", "the second content")
    for row, content, kind in (("utf8_content", YAML, "yaml"), ("large_content", _large(), "text")):
        with s.row(row):
            equal(s.provider.call("publish", content=content, type=kind, **key), True, "publish")
            s.consumer.last("config", lambda e, wanted=content: e["content"] == wanted, "the content")
            equal(s.consumer.call("get", **key) == content, True, "the content read is the content published")
            equal(s.server.config(data_id, GROUP) == content, True, "the content over HTTP is the content published")
    with s.row("remove"):
        equal(s.provider.call("remove", **key), True, "remove")
        equal(s.provider.call("get", **key), None, "the next read")
        equal(s.server.config(data_id, GROUP), None, "the server's own answer")
    if s.offers("remove_event"):
        with s.row("remove_event"):
            s.consumer.last("config", lambda e: not e["content"], "the removal")
    with s.row("republish"):
        s.provider.call("publish", content="third", **key)
        s.consumer.last("config", lambda e: e["content"] == "third", "the config that came back")
        s.consumer.call("unlisten", tag="config", **key)


def _large():
    line = "server.0123456789=árvíztűrő 珍珠 🦪 &=+%\n"
    return line * (LARGE // len(line.encode()) + 1)


@flow("cas_absent", "cas_wrong", "cas_right")
def compare_and_set(s):
    data_id = s.name("cas")
    key = {"dataId": data_id, "group": GROUP}
    with s.row("cas_absent"):
        equal(s.provider.call("cas", content="one", md5="0", **key), True, "on an absent config")
        equal(s.server.config(data_id, GROUP), "one", "the content")
    with s.row("cas_wrong"):
        equal(s.consumer.call("cas", content="lost", md5=md5("something else"), **key), False, "with a wrong md5")
        equal(s.server.config(data_id, GROUP), "one", "the content")
    with s.row("cas_right"):
        equal(s.consumer.call("cas", content="två 🦪", md5=md5("one"), **key), True, "with the right md5")
        equal(s.provider.call("cas", content="three", md5=md5("två 🦪"), **key), True, "with the right md5 of UTF-8")
        equal(s.server.config(data_id, GROUP), "three", "the content")


@flow("fuzzy_config")
def fuzzy_config(s):
    old, new = s.name("fuzzy.old"), s.name("fuzzy.new")
    with s.row("fuzzy_config"):
        s.provider.call("publish", dataId=old, group=GROUP, content="old")
        there = s.consumer.call("fuzzy_config", tag="fuzzy-config", pattern=f"{s.client.name}.fuzzy.*", group=GROUP)
        equal([old in key for key in there], [True], f"what is there: {there}")
        s.provider.call("publish", dataId=new, group=GROUP, content="new")
        s.consumer.some("fuzzy-config", lambda e: e["change"] == ["ADD_CONFIG", new], "the new config")
        s.provider.call("remove", dataId=new, group=GROUP)
        s.consumer.some("fuzzy-config", lambda e: e["change"] == ["DELETE_CONFIG", new], "the config gone")


@flow("credentials", "main_port", "namespace", "killed")
def namespaces(s):
    team = "team-a"
    here = {"service": s.name("tenants"), "group": GROUP}
    key = {"dataId": s.name("tenants"), "group": GROUP}
    stranger = s.start_driver("stranger", namespace=team, username="nacos", password="päss&wörd=1",
                              main_port_only=s.offers("main_port"))
    try:
        with s.row("credentials"):
            stranger.ready()
            stranger.call("register", instance=instance("10.9.5.2"), **here)
        if s.offers("main_port"):
            with s.row("main_port"):
                equal(addresses(stranger.call("list", clusters=[], **here)), ["10.9.5.2"], "seen through the main port")
        with s.row("namespace"):
            s.provider.call("register", instance=instance("10.9.5.1"), **here)
            equal(addresses(s.consumer.call("list", clusters=[], **here)), ["10.9.5.1"], "the default namespace")
            equal(addresses(stranger.call("list", clusters=[], **here)), ["10.9.5.2"], "the other namespace")
            stranger.call("publish", content="theirs", **key)
            equal(s.consumer.call("get", **key), None, "their config in the default namespace")
            equal(s.server.config(key["dataId"], GROUP, team), "theirs", "their config in their namespace")
            s.provider.call("publish", content="ours", **key)
            equal(stranger.call("get", **key), "theirs", "their config after ours was published")
        if s.offers("killed"):
            with s.row("killed"):
                stranger.kill()
                s.eventually(lambda: s.server.hosts(here["service"], GROUP, team) == [], "the killed process is gone",
                             within=AT_ONCE)
    finally:
        stranger.kill()


@flow("public_by_name")
def public_by_name(s):
    here = {"service": s.name("namesake"), "group": GROUP}
    key = {"dataId": s.name("namesake"), "group": GROUP}
    both = [instance("10.9.5.3"), instance("10.9.5.4")]
    with s.row("public_by_name"):
        namesake = s.start_driver("namesake", namespace="public").ready()
        s.provider.call("publish", content="unnamed", **key)
        equal(namesake.call("get", **key), "unnamed", "the config of the unnamed namespace")
        namesake.call("listen", tag="namesake", **key)
        namesake.call("subscribe", tag="namesake-hosts", clusters=s.client.all_clusters, **here)
        s.provider.call("register", instance=both[0], **here)
        namesake.call("register", instance=both[1], **here)
        namesake.last("namesake-hosts", exactly(*both), "the instances of both")
        s.provider.call("publish", content="unnamed again", **key)
        namesake.last("namesake", lambda e: e["content"] == "unnamed again", "the config changed by the other")
        namesake.call("publish", content="named", **key)
        equal(s.consumer.call("get", **key), "named", "the config published by name")
        namesake.kill()
