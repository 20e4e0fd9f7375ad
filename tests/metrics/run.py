#!/usr/bin/env python3
"""Boards and alerts against a real Prometheus: no panel is empty, no alert is deaf. Needs Python 3.9 and nothing else.

A server gets traffic of every kind, Prometheus scrapes it each second, and every expression of panels.txt (Nacos's two published
boards), of deploy/grafana/nacre.json and of deploy/prometheus/alerts.yml is asked. promtool checks the rules and runs
alerts_test.yml. Prometheus is taken from the PATH, else fetched from Debian's packages into target/tools; without it the test
fails. The last line is "N passed, N failed".
"""
import argparse
import asyncio
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "torture"))
from rack import call, grpc  # noqa: E402
from rack.process import Server  # noqa: E402

TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
ALERTS = os.path.join(ROOT, "deploy", "prometheus", "alerts.yml")
BOARD = os.path.join(ROOT, "deploy", "grafana", "nacre.json")
FINDINGS = os.path.join(ROOT, "docs", "findings")
# Far longer than anything takes.
LONG = 60
# Codes of alerts whose rules are still to come. An alert whose cause no rule can name, as a server that is down, has none.
PENDING = {"BEAT-GAP-EVERYBODY", "LISTENER-NOT-UPDATED", "REGISTER-STORM", "CONFIG-OVERWRITTEN-IN-TURNS"}


# ------------------------------------------------------------------------------------------------------------ Prometheus

def programs():
    """Paths of prometheus and promtool."""
    for place in (None, os.path.join(TARGET, "tools", "prometheus", "usr", "bin")):
        found = [shutil.which(name, path=place) for name in ("prometheus", "promtool")]
        if all(found):
            return found
    fetch()
    place = os.path.join(TARGET, "tools", "prometheus", "usr", "bin")
    return [os.path.join(place, name) for name in ("prometheus", "promtool")]


def fetch():
    """Unpacks Debian's package without installing it, so that no service starts."""
    home = os.path.join(TARGET, "tools", "prometheus")
    os.makedirs(os.path.dirname(home), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(home)) as work:
        os.chmod(work, 0o755)
        download = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "prometheus"]
        done = subprocess.run(download, cwd=work, capture_output=True, text=True)
        if done.returncode and os.geteuid() == 0:
            subprocess.run(["apt-get", "update", "-q"], capture_output=True, text=True)
            done = subprocess.run(download, cwd=work, capture_output=True, text=True)
        packages = [name for name in os.listdir(work) if name.endswith(".deb")]
        if done.returncode or not packages:
            raise SystemExit(f"prometheus cannot be had: {done.stdout}{done.stderr}\n0 passed, 1 failed")
        unpacked = os.path.join(work, "root")
        subprocess.run(["dpkg-deb", "-x", os.path.join(work, packages[0]), unpacked], check=True)
        try:
            os.rename(unpacked, home)
        except OSError:
            pass  # somebody else was first


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Prometheus:
    """Scrapes one server each second and evaluates the alerts."""

    def __init__(self, program, home, target):
        config = os.path.join(home, "prometheus.yml")
        with open(config, "w") as file:
            file.write(f"""global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{ALERTS}']
scrape_configs:
  - job_name: nacre
    metrics_path: /nacos/actuator/prometheus
    static_configs: [{{targets: ['127.0.0.1:{target}']}}]
""")
        self.port, self.log = free_port(), open(os.path.join(home, "prometheus.log"), "w+")
        self.child = subprocess.Popen(
            [program, f"--config.file={config}", f"--storage.tsdb.path={home}/tsdb",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
            stdout=self.log, stderr=subprocess.STDOUT)

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                raise ConnectionError("it starts") from None
            raise AssertionError(f"{query}: {error.read().decode()}") from None

    def values(self, expression):
        """(labels, value) of each series of the answer."""
        return [(one["metric"], float(one["value"][1])) for one in self.ask("query", query=expression)["result"]]

    def wait_scrapes(self, number):
        """Until the server was scraped this often."""
        def look():
            if self.child.poll() is not None:
                self.log.seek(0)
                raise AssertionError(f"prometheus ended: {self.log.read()}")
            try:
                seen = self.values("count_over_time(up{job='nacre'}[10m]) and (up{job='nacre'} == 1)")
            except OSError:
                return False
            return bool(seen) and seen[0][1] >= number
        eventually(look, f"{number} scrapes")

    def stop(self):
        self.child.kill()
        self.child.wait()
        self.log.close()


def eventually(look, what):
    end = time.monotonic() + LONG
    while not look():
        assert time.monotonic() < end, f"{what} did not come to be"
        time.sleep(0.2)


# --------------------------------------------------------------------------------------------------------------- traffic

SERVICE, DATA, GROUP = "metrics-service", "metrics-config", "DEFAULT_GROUP"


class Traffic:
    """Clients of both kinds that register, beat, subscribe, listen, publish and ask until the `with` ends."""

    def __init__(self, port):
        self.port, self.stopped, self.failures, self.rounds = port, threading.Event(), [], {}

    def __enter__(self):
        self.probed = socket.create_server(("127.0.0.1", 0))
        works = [self._http, self._poll, lambda: asyncio.run(self._grpc())]
        self.threads = [threading.Thread(target=self._guard, args=(work,), daemon=True) for work in works]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join(LONG)
        self.probed.close()

    def _guard(self, work):
        try:
            work()
        except Exception as error:
            if not self.stopped.is_set():
                print(f"traffic failed: {type(error).__name__}: {error}", flush=True)
                self.failures.append(f"{type(error).__name__}: {error}")

    def _count(self, what):
        self.rounds[what] = self.rounds.get(what, 0) + 1

    def _http(self):
        ask = call.Caller(self.port)

        def must(method, path, **form):
            answer = ask(method, path, form)
            assert answer.status == 200, f"{method} {path}: {answer.status} {answer.text}"
            return answer

        # A persistent instance that the server probes by TCP.
        must("POST", "/v1/ns/instance", serviceName="metrics-persistent", ip="127.0.0.1",
             port=self.probed.getsockname()[1], ephemeral="false")
        while not self.stopped.is_set():
            self._count("http")
            for number in range(3):
                beat = {"ip": "192.0.2.9", "port": number + 1, "serviceName": f"{GROUP}@@{SERVICE}",
                        "cluster": "DEFAULT"}
                must("PUT", "/v1/ns/instance/beat", serviceName=f"{GROUP}@@{SERVICE}", beat=json.dumps(beat))
            must("GET", "/v1/ns/instance/list", serviceName=SERVICE)
            must("POST", "/v1/cs/configs", dataId=DATA, group=GROUP, content=f"v{time.monotonic()}")
            must("GET", "/v1/cs/configs", dataId=DATA, group=GROUP)
            must("GET", "/v1/cs/configs", search="blur", dataId="metrics*", group="*", pageNo="1", pageSize="10")
            # A service that changes: its subscriber is pushed to.
            must("POST", "/v1/ns/instance", serviceName=SERVICE, ip="192.0.2.8", port="1",
                 weight=str(1 + self.rounds["http"] % 50))
            wrong = ask("POST", "/v1/cs/configs", {"dataId": "", "group": GROUP, "content": "x"})
            assert wrong.status == 400, f"a publication without a name: {wrong.status}"
            self.stopped.wait(0.3)

    def _poll(self):
        """A 1.x client: long polls of a config that nobody publishes."""
        ask = call.Caller(self.port)
        while not self.stopped.is_set():
            listening = {"Listening-Configs": "nobody\x02" + GROUP + "\x02\x01"}
            ask("POST", "/v1/cs/configs/listener", listening, {"Long-Pulling-Timeout": "10000"})
            self._count("polls")

    async def _grpc(self):
        port = self.port + 1000
        told = asyncio.Queue()
        naming = await grpc.Client.connect(port, on_push=lambda kind, body: self._count(kind))
        config = await grpc.Client.connect(port, "config", on_push=lambda kind, body: told.put_nowait(kind))
        await naming.subscribe(SERVICE)
        await naming.register(SERVICE, "192.0.2.7", 7)
        _, md5 = await config.config(DATA, GROUP)
        await config.listen(DATA, GROUP, md5 or "")
        while not self.stopped.is_set():
            self._count("grpc")
            await naming.ask("HealthCheckRequest", {})
            # A call that fails: whether the reads above fail depends on who publishes first.
            await config.config("nobody", GROUP)
            while not told.empty():
                self._count(told.get_nowait())
                _, md5 = await config.config(DATA, GROUP)
                await config.listen(DATA, GROUP, md5)
            await asyncio.sleep(0.2)
        naming.abort()
        config.abort()


# ---------------------------------------------------------------------------------------------------------------- checks

class Checks:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def __call__(self, name, holds, why=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {why}", flush=True)


def panels():
    """(board, title, expression, reason why it is empty or None)."""
    with open(os.path.join(HERE, "panels.txt")) as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            parts = line.rstrip("\n").split(" | ")
            if parts[0] == "absent":
                _, board, title, expression, reason = parts
                yield board, title, expression, reason
            else:
                board, title, expression = parts
                yield board, title, expression, None


def own_panels():
    with open(BOARD) as file:
        for panel in json.load(file)["panels"]:
            for target in panel.get("targets", ()):
                yield "nacre", panel["title"], target["expr"], None


def panel_has_data(prometheus, expression):
    """Whether there is an answer with a value: kinds of calls that nobody makes just now divide 0 by 0."""
    seen = prometheus.values(expression.replace("$instance", ".*"))
    return any(math.isfinite(value) for _, value in seen), seen


def alerts():
    """Name, expression and annotations of each rule; read without a YAML library, as the file is written."""
    with open(ALERTS) as file:
        text = file.read()
    for rule in re.split(r"^      - alert: ", text, flags=re.M)[1:]:
        fields = dict(re.findall(r"^ +(\w+): '?(.*?)'?$", rule, flags=re.M))
        yield rule.split("\n", 1)[0], {name: value.replace("''", "'") for name, value in fields.items()}


def check_alerts(check, promtool, binary):
    done = subprocess.run([promtool, "check", "rules", ALERTS], capture_output=True, text=True)
    check("promtool check rules", done.returncode == 0, done.stdout + done.stderr)
    tests = os.path.join(HERE, "alerts_test.yml")
    done = subprocess.run([promtool, "test", "rules", tests], capture_output=True, text=True)
    check("promtool test rules", done.returncode == 0, done.stdout + done.stderr)
    with open(tests) as file:
        tested = set(re.findall(r'alertname="(\w+)"', file.read()))
    pages = {name[:-3] for name in os.listdir(FINDINGS)} if os.path.isdir(FINDINGS) else set()
    found = list(alerts())
    check("alerts are read", len(found) > 20, found)
    coded = sum(1 for _, rule in found if rule.get("finding"))
    check("alerts name findings", coded > 20, coded)
    for name, rule in found:
        check(f"alert {name} has a test of its own", name in tested)
        code = rule.get("finding", "")
        templated = code.startswith("{{")
        check(f"finding {code} of {name} has a page", not code or templated or code in pages or code in PENDING,
              "docs/findings has no such page")
        command = re.search(r'explain "(.*)"$', rule.get("explain", ""))
        check(f"alert {name} has a command that explains it", command is not None, rule)
        if command and not templated:
            done = subprocess.run([binary, "explain", "--offline", "-o", "json", command.group(1)],
                                  capture_output=True, text=True)
            check(f"{command.group(1)} is explained", done.returncode == 0, done.stderr)


def check_boards(check, prometheus, traffic):
    everything = [*panels(), *own_panels()]
    check("panels are read", len(everything) > 100, len(everything))
    waiting = [panel for panel in everything if panel[3] is None]
    # Rates need some scrapes after the first value of a series; what has no data by the end of the wait never had.
    end, seen = time.monotonic() + LONG, {}
    while waiting:
        still = []
        for panel in waiting:
            holds, seen[panel] = panel_has_data(prometheus, panel[2])
            if not holds:
                still.append(panel)
        waiting = still
        if not waiting or traffic.failures or time.monotonic() > end:
            break
        time.sleep(1)
    for panel in everything:
        board, title, expression, reason = panel
        if reason is not None:
            check(f"{board}: {title} is listed as absent", reason and not panel_has_data(prometheus, expression)[0],
                  "it has data: take it off the list")
        else:
            check(f"{board}: {title}", panel not in waiting, f"no data for {expression}: {seen[panel]}")


def check_figures(check, prometheus):
    """Figures that the traffic must have moved: names alone would be satisfied by zeros."""
    for expression in ("nacre_beat_gap_seconds_count", "nacre_push_seconds_count", "nacre_config_listener_seconds_count",
                       "nacre_log_fsync_seconds_count", "nacos_monitor{name='totalPush'}", "nacos_monitor{name='publish'}",
                       "nacos_monitor{name='longPolling'}", "nacos_monitor{name='tcpHealthCheck'}",
                       "nacos_monitor{name='fuzzySearch'}", "nacos_exception_total{name='illegalArgument'}",
                       "nacos_config_subscriber{version='v1'}", "nacos_config_subscriber{version='v2'}",
                       "nacos_naming_publisher{version='v1'}", "nacos_naming_publisher{version='v2'}",
                       "nacos_naming_subscriber{version='v2'}", "grpc_server_executor{name='taskCount'}",
                       "service_change_count", "config_change_count", "nacre_journal_records"):
        seen = []

        def moved(expression=expression):
            seen[:] = prometheus.values(expression)
            return any(value > 0 for _, value in seen)

        try:
            eventually(moved, expression)
            check(expression, True)
        except AssertionError:
            check(f"{expression} moves", False, seen)
    for name in ("nacre_push_seconds", "nacre_beat_gap_seconds", "nacre_config_listener_seconds"):
        bad = prometheus.values(f"{name}_count - on(instance) {name}_bucket{{le='+Inf'}} != 0")
        check(f"{name} counts what its last bucket holds", not bad, bad)


def check_rules(check, prometheus):
    groups = prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    check("Prometheus evaluates the alerts", len(rules) == len(list(alerts())), len(rules))
    for rule in rules:
        check(f"alert {rule['name']} is evaluated", rule["health"] == "ok", rule.get("lastError"))
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    # The machine of whoever runs this may be full or busy.
    firing = [name for name in firing if name not in ("NacreCpuSaturated", "NacreDiskAlmostFull")]
    check("nothing fires on a healthy server", not firing, firing)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--binary", default=os.path.join(TARGET, "debug", "nacre"))
    options = options.parse_args()
    began, check = time.monotonic(), Checks()
    prometheus, promtool = programs()
    check_alerts(check, promtool, options.binary)
    with tempfile.TemporaryDirectory(prefix="nacre-metrics-") as home:
        server = Server(options.binary, os.path.join(home, "nacre")).wait_ready()
        watching = Prometheus(prometheus, home, server.port)
        try:
            with Traffic(server.port) as traffic:
                watching.wait_scrapes(5)
                check_boards(check, watching, traffic)
                check_figures(check, watching)
                check_rules(check, watching)
            check("the traffic had no failure", not traffic.failures, traffic.failures)
            print(f"traffic: {traffic.rounds}")
        finally:
            watching.stop()
            server.kill()
    print(f"metrics: {round(time.monotonic() - began)} s")
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed or not check.passed else 0


if __name__ == "__main__":
    sys.exit(main())
