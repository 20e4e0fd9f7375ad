"""Real applications: what their providers and consumers must see of each other through the server.

One process is there to be killed; the other one holds the consumer and the providers that stay. While the consumer calls
without a pause, the scenario adds, drains, closes and kills providers and takes the server away. A row is right when the
calls go where they must and when those failed that may fail: none, except for the moment in which a provider is killed.
"""

import time

from .behaviours import AT_ONCE, Behaviour

STARTED_WITHIN = 120
# A window of calls that judges: all of them since the last look, and not fewer.
ENOUGH = 12
GROUP = "DEFAULT_GROUP"
# Where an operator changes an instance: the oldest API and the newest.
V1 = "/nacos/v1/ns/instance"
ADMIN = "/nacos/v3/admin/ns/instance"

BEHAVIOURS = [Behaviour(name, title) for name, title in (
    ("install", "installs unmodified from Maven Central, its processes start"),
    ("app_start", "two providers and a consumer start"),
    ("app_registers", "the server lists the providers with the metadata of the framework"),
    ("app_calls", "the consumer's calls are balanced over both providers"),
    ("app_added", "a provider added under load gets its share; no call fails"),
    ("app_disabled", "a provider disabled by an operator gets no more calls, enabled again it does; no call fails"),
    ("app_drained", "a provider of weight 0 gets no more calls, weighted again it does; no call fails"),
    ("app_closed", "a provider closed in order is gone at once"),
    ("app_killed", "a provider killed (SIGKILL) is gone at once; the calls go on"),
    ("app_outage", "the server is killed: the calls go on, none fails"),
    ("app_return", "the server is back: all register again, a new provider gets calls"),
    ("metadata", "the metadata centre: definitions of the interface are published there"),
    ("mapping", "the mapping from interface to applications: a second application is appended (compare-and-set) and found"),
    ("config_start", "settings are imported at the start, UTF-8 included"),
    ("config_refresh", "a published change of settings or rules takes effect in the running applications"),
    ("config_fixed", "an import that opted out of refreshing is not refreshed"),
    ("config_return", "a change published after the server came back refreshes the applications"),
    ("discovery_list", "lists services"),
    ("health", "the application's own health names nacre as up"),
    ("self_drained", "the application takes itself out by its management endpoint and comes back"),
    ("server_log", "meanwhile the server logs neither an error nor a panic"),
)]

def mark(flows, *rows):
    """Adds a scenario to flows and names the rows it must produce, as for the SDKs."""
    def add(scenario):
        flows.append((scenario, rows))
        return scenario
    return add


class Stage:
    """The applications of one session, told apart by names; every provider answers with its port."""

    def __init__(self, s):
        self.s = s
        # Names of services are host names in the URLs that applications call.
        self.service = s.name("shop").replace(".", "-")
        self.ports = {}
        self.homes = {}
        self.addresses = {}

    def start(self, process, name, service=None, *args):
        self.homes[name] = process
        self.ports[name] = process.call("start", within=STARTED_WITHIN, service=service or self.service,
                                        args=list(args), **{"as": name})
        return self.ports[name]

    def close(self, name):
        self.homes[name].call("close", within=STARTED_WITHIN, **{"as": name})

    def services(self, name):
        """The services on the server under which this provider is found."""
        return [self.service]

    def answers(self, name):
        """What the calls report when they reach this provider in every way there is."""
        return {str(self.ports[name])}

    def listed(self, service=None):
        return {host["port"] for host in self.s.server.hosts(service or self.service, GROUP)}

    def known(self, names):
        """What the server lists of these, for the complaint of a test."""
        try:
            lists = {service: sorted(self.listed(service)) for name in names for service in self.services(name)}
            return f"the server lists {lists}"
        except OSError as error:
            return f"the server does not answer: {error}"

    def gone(self, name):
        for service in self.services(name):
            self.s.eventually(lambda: self.ports[name] not in self.listed(service), f"{name} gone from {service}",
                              within=AT_ONCE)

    def operate(self, path, name, **values):
        """An operator changes weight or enabled of this provider."""
        for service in self.services(name):
            # Lists leave out what is disabled: the address is looked up once.
            if (service, name) not in self.addresses:
                self.addresses[service, name], = [host["ip"] for host in self.s.server.hosts(service, GROUP)
                                                  if host["port"] == self.ports[name]]
            self.s.server.operate(path, service, GROUP, self.addresses[service, name], self.ports[name], **values)

    def traffic(self):
        return self.s.consumer.call("traffic")

    def calls_reach(self, *names, within=AT_ONCE, may_fail=False):
        """Until the calls of a whole window are answered by exactly these; calls that fail on the way are counted."""
        wanted = set().union(*map(self.answers, names))
        failed, errors, window = 0, [], {}
        deadline = time.monotonic() + within
        while True:
            seen = self.traffic()
            failed += seen["failed"]
            errors += seen["errors"]
            for by, times in seen["answers"].items():
                window[by] = window.get(by, 0) + times
            if set(window) == wanted and sum(window.values()) >= ENOUGH and not seen["failed"]:
                break
            if time.monotonic() > deadline:
                raise AssertionError(f"calls reach {window} instead of {sorted(wanted)} after {within} s; "
                                     f"{failed} failed {errors[:2]}; {self.known(names)}; the consumer says "
                                     f"{self.s.consumer.complaints()}")
            if sum(window.values()) >= ENOUGH or seen["failed"]:
                window = {}
            time.sleep(0.05)
        if failed and not may_fail:
            raise AssertionError(f"{failed} calls failed: {errors[:3]}")
