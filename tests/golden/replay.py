"""Replays recordings over HTTP and gRPC and gives every step as an item.

An item is a dict: protocol, label, scenario, step, endpoint, scope, area, why, status (passed, failed, not asked),
differences (readable lines), request (a curl line), first (where the first byte differs).
"""
import concurrent.futures
import fnmatch
import json
import os
import random
import re
import shlex
import subprocess
import tempfile
import time

import departures
import golden
import scope

HERE = os.path.dirname(os.path.abspath(__file__))
HAVE = ["open", "actuator", "prometheus-sd"]
GRPC_LABEL, GRPC_AREAS = scope.LABELS["v3"], ["connection", "config", "naming"]
SILENT = 3         # steps in a row without any answer, after which the rest of a scenario is not asked
golden.TIMEOUT = 45


def wanted(protocol, name, globs):
    """Does --only mean this scenario? `config/*` means both protocols, `grpc:config/*` one."""
    return not globs or any(fnmatch.fnmatch(f"{protocol}:{name}", glob if ":" in glob else "*:" + glob)
                            for glob in globs)


def never(item, reason):
    """A step that should have been asked and could not be: that is a failure."""
    return dict(item, status="failed", differences=[departures.NOT_ASKED + reason])


# ---------------------------------------------------------------------------------------------------------------- HTTP

class HttpScenario:
    """A recorded scenario with the scope of its steps."""

    def __init__(self, recording, scenario, rows):
        self.recording, self.scenario = recording, scenario
        self.name, self.label = recording["scenario"], recording["label"]
        self.decisions = scope.plan(rows, scenario, self.label, recording["answers"])
        self.needs = golden.usable(scenario, self.label, HAVE)
        self.in_scope = any(decision.scope != "no" for decision in self.decisions.values())
        # switches are the whole server's, and discovery without a namespace lists every service of it, those of the same
        # scenario for another version included: nobody else may run meanwhile
        self.alone = any(step.get("method") == "PUT" and step.get("path", "").endswith("/switches")
                         or step.get("path", "").rstrip("/") == "/nacos/prometheus" for step in scenario["steps"])

    def steps(self, bases=None):
        bases = bases or {"server": "http://localhost:1", "console": "http://localhost:2"}
        return list(Watched(self.scenario, bases, "x", {}, self.label).steps())

    def item(self, step):
        asked = next(s for s in self.scenario["steps"] if s["id"] == step["collect"]) if "collect" in step else step
        decision = self.decisions[step["id"]]
        return {"protocol": "http", "label": self.label, "scenario": self.name, "step": step["id"],
                "endpoint": decision.row.name if decision.row else f"{asked['method']} {asked['path']}",
                "scope": decision.scope, "area": decision.area, "why": decision.why,
                "status": "not asked", "differences": []}

    def unasked(self):
        return [self.item(step) for step in self.steps() if not step.get("background")]

    def replay(self, server, stop):
        """Items of all steps; `stop()` gives a reason to ask no more, or None."""
        bases = {"server": server, "console": server + "/nacos"}
        run_id = "r" + "".join(random.choice("bcdfghjkmnpqrstvwxz23456789") for _ in range(6))
        run = Watched(self.scenario, bases, run_id, {"adminUser": "nacos", "adminPassword": "nacos"}, self.label)
        items, silent = [], 0
        try:
            for step in run.steps():
                reason = stop() or (silent >= SILENT and "the server no longer answers")
                if reason:
                    if not step.get("background"):
                        items.append(never(self.item(step), reason))
                    continue
                if self.decisions[step["id"]].scope == "no" and "retry" in step:    # nothing waits for later work
                    step = dict(step, retry=dict(step["retry"], seconds=min(1, step["retry"].get("seconds", 0))))
                request = run.curl(step)
                try:
                    lines = golden.replay_step(run, step, self.recording["answers"])
                except Exception as error:      # such as a broken zip file: the answer is to blame, not the step
                    lines = [f"cannot be compared: {type(error).__name__}: {error}"]
                if lines is None:
                    continue
                item = dict(self.item(step), status="failed" if lines else "passed", differences=lines)
                if lines:
                    item.update(request=request, first=run.first_difference(step, self.recording["answers"]))
                silent = silent + 1 if lines and lines[0].startswith("no answer: ") else 0
                items.append(item)
        finally:
            run.cleanup()
        return items


class Watched(golden.Run):
    """A run that remembers the last answer and can show requests."""

    last = None

    def perform(self, step, accept):
        self.last = None
        self.last = super().perform(step, accept)
        return self.last

    def curl(self, step):
        if "collect" in step:
            return "answer to " + step["collect"]
        try:
            asked = self.variables.fill({k: v for k, v in step.items() if k in (
                "method", "path", "target", "query", "form", "json", "raw", "multipart", "headers")})
        except golden.ScenarioError as error:
            return str(error)
        return curl_line(self.bases.get(asked.get("target", "server"), "?"), asked)

    def first_difference(self, step, answers):
        expected = answers.get(step["id"])
        if not expected or not self.last or self.last["status"] is None:
            return None
        masks = self.masks(step)
        return first_difference(masks.apply(expected), masks.apply(self.last))


def curl_line(base, asked, limit=200):
    words = ["curl", "-i"] if asked["method"] == "GET" else ["curl", "-i", "-X", asked["method"]]
    query = asked.get("query")
    query = query if isinstance(query, str) else golden.encode(query or {})
    for name, value in asked.get("headers", {}).items():
        words += ["-H", f"{name}: {value}"]
    body = None
    if "form" in asked:
        body = golden.encode(asked["form"])
    elif "json" in asked:
        words += ["-H", "Content-Type: application/json"]
        body = json.dumps(asked["json"], ensure_ascii=False)
    elif "raw" in asked:
        body = asked["raw"]
    elif "multipart" in asked:
        for part in asked["multipart"]:
            words += ["-F", f"{part['name']}={part.get('value', '@' + part.get('filename', 'file'))}"]
    if body is not None:
        words += ["--data-raw", body if len(body) <= limit else f"{body[:limit]}...({len(body)} characters)"]
    return " ".join(shlex.quote(word) for word in words + [base + asked["path"] + ("?" + query if query else "")])


def first_difference(want, got, around=30):
    """Where two masked answers begin to differ, with some text on both sides."""
    for part in ("status", "headers", "json", "text", "zip", "base64"):
        a, b = want.get(part), got.get(part)
        if a == b and type(a) is type(b):
            continue
        left, right = (v if isinstance(v, str) else "" if v is None else
                       json.dumps(v, ensure_ascii=False, sort_keys=True) for v in (a, b))
        at = next((i for i, (x, y) in enumerate(zip(left, right)) if x != y), min(len(left), len(right)))
        cut = slice(max(0, at - around), at + around)
        return f"{part} at {at}: want {left[cut]!r}, got {right[cut]!r}"
    return None


def http_scenarios(globs):
    rows = scope.read_rows()
    return [HttpScenario(recording, scenario, rows) for label in sorted(set(scope.LABELS.values()))
            for recording, scenario in scope.recordings(label) if wanted("http", recording["scenario"], globs)]


def replay_http(scenarios, server, jobs, stop, done):
    """Replays scenarios side by side; done(scenario, items, seconds) hears of each. Gives all items."""
    def work(scenario):
        started = time.monotonic()
        items = scenario.replay(server, stop)
        done("http", scenario.name, items, time.monotonic() - started)
        return items
    # the slowest first, so that nothing is waited for alone at the end
    scenarios = sorted(scenarios, key=lambda s: -sum(
        step.get("pause", 0) + step.get("retry", {}).get("seconds", 0) for step in s.scenario["steps"]))
    with concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool:
        return [item for items in pool.map(work, scenarios) for item in items]


# ---------------------------------------------------------------------------------------------------------------- gRPC

class Conversation:
    def __init__(self, path, area):
        self.path, self.area = path, area
        with open(path, encoding="utf-8") as file:
            self.recording = json.load(file)
        self.name, self.label = self.recording["scenario"], self.recording["label"]
        with open(os.path.join(HERE, "grpc", "scenarios", self.name + ".json"), encoding="utf-8") as file:
            scenario = json.load(file)
        self.alone = bool(scenario.get("alone"))
        self.in_scope = area in GRPC_AREAS and set(scenario.get("requires", ["open"])) <= set(HAVE)

    def items(self, status, differences=()):
        """One item for each step; differences as golden_grpc.py gives them."""
        by_step = {}
        for difference in differences:
            by_step.setdefault(difference["step"], []).append(difference["difference"].lstrip(": "))
        out = []
        for number, answer in enumerate(self.recording["answers"]):
            lines = by_step.get(number, [])
            out.append({"protocol": "grpc", "label": self.label, "scenario": self.name, "step": str(number),
                        "endpoint": "gRPC " + re.sub(r"^\w+: ", "", answer["step"]),
                        "scope": "yes" if self.in_scope else "no",
                        "area": "" if self.in_scope else self.area, "why": "",
                        "status": "failed" if lines and status == "passed" else status, "differences": lines})
        return out

    def unasked(self):
        return self.items("not asked")


def conversations(globs):
    root = os.path.join(HERE, "grpc", "recorded", GRPC_LABEL)
    return [one for one in (Conversation(path, os.path.basename(os.path.dirname(path)))
                            for path in golden.find_json([root])) if wanted("grpc", one.name, globs)]


def replay_grpc(group, python, server, options, stop, done):
    """Lets golden_grpc.py replay the conversations. Gives all items."""
    if not group:
        return []
    reason = stop()
    if reason:
        return [never(item, reason) for one in group for item in one.unasked()]
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "result.json")
        command = [python, os.path.join(HERE, "golden_grpc.py"), "replay", "--server", server, "--jobs",
                   str(options.grpc_jobs), "--slack", str(options.slack), "--without", options.without,
                   "--show", "200", "--json", result]
        if options.grpc:
            command += ["--grpc", options.grpc]
        started = time.monotonic()
        process = subprocess.Popen(command + [one.path for one in group], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        output = None
        try:
            while output is None:
                try:
                    output, _ = process.communicate(timeout=1)
                except subprocess.TimeoutExpired:
                    reason = stop()
                    if reason:
                        process.kill()
                        output = process.communicate()[0] + "\n" + reason
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        found = {}
        if os.path.exists(result):
            with open(result, encoding="utf-8") as file:
                found = {one["scenario"]: one["differences"] for one in json.load(file)["scenarios"]}
    items = []
    for one in group:
        if one.name in found:
            mine = one.items("passed", found[one.name])
        else:
            mine = [dict(item, differences=["golden_grpc.py gave no result: " + output.strip()[-400:]])
                    for item in one.items("failed")]
        done("grpc", one.name, mine, time.monotonic() - started)
        items += mine
    return items
