#!/usr/bin/env python3
"""Which recorded HTTP steps nacre answers today, and why each of the others is for later.

  scope.py --check     is scope.tsv what the rules below give?
  scope.py --update    write scope.tsv and SCOPE.md

The rules stand in `CLIENT_ROWS`, `DONE_AREAS` and `decide`.  A step is `yes` (a client asks this, or it belongs to an area
that is done), `setup` (a call of another area that a later `yes` step of its scenario needs) or `no`, with the area that
will bring it.
"""
import argparse
import collections
import csv
import fnmatch
import functools
import io
import json
import os
import re
import sys

import golden

HERE = os.path.dirname(os.path.abspath(__file__))
ENDPOINTS = os.path.join(HERE, "endpoints.tsv")
TABLE, PAGE = os.path.join(HERE, "scope.tsv"), os.path.join(HERE, "SCOPE.md")
# which recording decides: the label of v1 and v2, and the label of v3
LABELS = {"v1": "nacos-2.5.1", "v2": "nacos-2.5.1", "v3": "nacos-3.1.0"}
COLUMNS = ["scenario", "label", "step", "method", "path", "row", "scope", "area", "why"]

# Rows that are clients' own although endpoints.tsv does not mark them `open` or `v3-client`: (method, path, why).
# A `?` row is the same path with that parameter; without one here it is no client row.
CLIENT_ROWS = [
    ("GET|POST|DELETE", "/nacos/v2/cs/config", "client API: config"),
    ("GET|DELETE", "/nacos/v1/cs/configs?beta=true", "client API: beta config"),
    ("GET|PUT|PATCH", "/nacos/v1/ns/instance", "client API: instance"),
    ("PUT|DELETE", "/nacos/v1/ns/instance/metadata/batch", "client API: batch metadata"),
    ("GET|POST|PUT|DELETE", "/nacos/v1/ns/service", "client API: service"),
    ("GET", "/nacos/v1/ns/service/subscribers", "client API: subscribers"),
    ("GET|POST|PUT|PATCH|DELETE", "/nacos/v2/ns/instance", "client API: instance"),
    ("GET", "/nacos/v2/ns/instance/list", "client API: instance"),
    ("PUT", "/nacos/v2/ns/instance/beat", "client API: beat"),
    ("PUT|DELETE", "/nacos/v2/ns/instance/metadata/batch", "client API: batch metadata"),
    ("GET|POST|PUT|DELETE", "/nacos/v2/ns/service", "client API: service"),
    ("GET", "/nacos/v2/ns/service/list", "client API: service"),
    ("GET", "/nacos/v1/console/namespaces", "client API: namespace list"),
    ("GET", "/nacos/v2/console/namespace/list", "client API: namespace list"),
    ("GET", "/nacos/v3/admin/core/namespace/list", "client API: namespace list"),
    ("GET", "/nacos/v1/console/health/*", "health"),
    ("GET", "/nacos/v2/console/health/*", "health"),
    ("GET", "/v3/console/health/*", "health"),
    ("GET", "/nacos/v3/admin/core/state*", "state"),
    ("GET", "/nacos/v1/console/server/state", "state"),
    ("GET", "/v3/console/server/state", "state"),
    ("GET", "/nacos/actuator/health", "health"),
    ("GET", "/nacos/actuator/prometheus", "metrics"),
    ("GET", "/nacos/v1/cs/health", "health"),
    ("GET", "/nacos/v1/ns/health/server", "health"),
    ("GET", "/nacos/v1/core/cluster/health", "health"),
    ("GET", "/nacos/v2/core/cluster/node/self/health", "health"),
    ("PUT", "/nacos/v1/ns/health*", "health set by a client"),
    ("PUT", "/nacos/v2/ns/health*", "health set by a client"),
    ("GET|PUT", "/nacos/v1/ns/operator/switches", "switches"),
    ("GET|PUT", "/nacos/v1/ns/ops/switches", "switches"),
    ("GET|PUT", "/nacos/v2/ns/operator/switches", "switches"),
    ("GET|PUT", "/nacos/v2/ns/ops/switches", "switches"),
    ("GET", "/nacos/v2/ns/operator/metrics", "metrics"),
    ("GET", "/nacos/v2/ns/ops/metrics", "metrics"),
]

# Areas (`Row.area`) of which every step is in scope, with the reason that the table shows.
DONE_AREAS = {"administration": "administration", "prometheus": "discovery for Prometheus", "actuator": "actuator"}

# Administration calls that scenarios set themselves up with: they count (`setup`) where client steps of the same
# scenario come after them.
SETUP_ROWS = [
    ("POST|PUT|DELETE", "/nacos/v1/console/namespaces"),
    ("POST|PUT|DELETE", "/nacos/v2/console/namespace"),
    ("POST|PUT|DELETE", "/nacos/v3/admin/core/namespace"),
    ("PUT", "/nacos/v1/ns/cluster"),
    ("POST|DELETE", "/nacos/v3/admin/cs/config"),
    ("POST|PUT|DELETE", "/nacos/v3/admin/ns/instance"),
    ("POST|PUT|DELETE", "/nacos/v3/admin/ns/service"),
]


class Row:
    """One line of endpoints.tsv."""

    def __init__(self, fields):
        self.fields = fields
        self.method, self.path = fields["method"], fields["path"]
        self.generation, self.module, self.compat = fields["generation"], fields["module"], fields["compat_in_3x"]
        self.name = f"{self.method} {self.path}"

    def reason(self):
        """Why this row is in scope, or None."""
        return self.client_reason() or DONE_AREAS.get(self.area())

    def client_reason(self):
        """Why this row is clients' own, or None."""
        if self.compat == "open":
            return "open in 3.x"
        if self.generation == "v3-client":
            return "v3 client API"
        for methods, path, why in CLIENT_ROWS:
            # the condition of a row belongs to its identity: `*` does not reach across `?`
            here, _, condition = self.path.partition("?")
            wanted, _, needed = path.partition("?")
            if self.method in methods.split("|") and fnmatch.fnmatchcase(here, wanted) and condition == needed:
                return why
        return None

    def sets_up(self):
        return any(self.method in methods.split("|") and self.path == path for methods, path in SETUP_ROWS)

    def area(self):
        """The later work that brings this row."""
        if self.module in ("auth", "ai", "prometheus"):
            return self.module
        if self.module == "console" or self.generation == "v3-console" or self.compat == "console":
            return "console"
        if self.compat == "inner" or re.search(r"/(distro|raft|cluster|loader|communication)(/|$)", self.path):
            return "cluster"
        if self.generation == "actuator":
            return "actuator"
        return "administration"


@functools.lru_cache(maxsize=None)
def read_rows(path=ENDPOINTS):
    with open(path, encoding="utf-8") as file:
        names, *lines = [line.rstrip("\n").split("\t") for line in file if line.strip()]
    return tuple(Row(dict(zip(names, line + [""] * len(names)))) for line in lines)


FOUND = {}          # matching rows by what of a step golden.row_matches looks at


@functools.lru_cache(maxsize=None)
def condition_keys(rows):
    return {row.path.partition("?")[2].partition("=")[0] for row in rows}


def matching(rows, step):
    """Every row that golden.py's coverage gives this step."""
    params = {**(step["query"] if isinstance(step.get("query"), dict) else {}), **step.get("form", {})}
    params = {key: value for key, value in params.items() if key in condition_keys(rows)}
    seen = (rows, step["method"], step["path"], step.get("target"), json.dumps(params, sort_keys=True))
    if seen not in FOUND:
        FOUND[seen] = [row for row in rows if golden.row_matches(row.fields, step)]
    return FOUND[seen]


def row_of(rows, step):
    """The row that answers this step: of several that match the one with a condition, then the literal one."""
    found = matching(rows, step)
    return max(found, key=lambda row: ("?" in row.path, "{" not in row.path, "*" not in row.path), default=None)


def sibling_of(rows, step):
    """A row with the path of this step and another method; a slash at the end does not count."""
    bare = dict(step, path=step["path"].rstrip("/") or "/")
    for method in [bare["method"]] + ["GET", "POST", "PUT", "DELETE", "PATCH"]:
        found = matching(rows, dict(bare, method=method))
        plain = [row for row in found if row.client_reason()] or found
        if plain:
            return plain[0]
    return None


def generation_of(path):
    """v1, v2 or v3 by the path asked, or None for paths that all generations share."""
    match = re.match(r"(?:/nacos)?/(v[123])(?:/|$)", path)
    return match.group(1) if match else None


class Decision:
    def __init__(self, scope, area="", why="", row=None):
        self.scope, self.area, self.why, self.row = scope, area, why, row


def decide(rows, scenario, label, step):
    """The scope of one step looked at alone; `setup` needs its neighbours (plan)."""
    row = row_of(rows, step)
    if "auth" in scenario.get("requires", []):
        return Decision("no", "auth", "needs authentication", row)
    if "mcp-registry" in scenario.get("requires", []):
        return Decision("no", "ai", "another web server", row)
    generation = generation_of(step["path"])
    if LABELS.get(generation, label) != label:
        return Decision("no", "other version", f"{generation}: {LABELS[generation]} decides", row)
    if row and row.module == "prometheus" and label != LABELS["v1"]:
        return Decision("no", "other version", f"no generation in the path: {LABELS['v1']} decides", row)
    if row:
        why = row.reason()
        return Decision("yes", "", why, row) if why else Decision("no", row.area(), "not a client's call", row)
    near = sibling_of(rows, step)
    if near and near.module == "prometheus" and label != LABELS["v1"]:
        return Decision("no", "other version", f"no generation in the path: {LABELS['v1']} decides", near)
    if near:
        of = "a client path" if near.client_reason() else "such a path"
        return Decision("yes" if near.reason() else "no", "" if near.reason() else near.area(),
                        f"another method or spelling of {of}", near)
    if step.get("target", "server") not in ("server", "console"):
        return Decision("no", "ai", "another web server")
    if not generation and label != LABELS["v1"]:
        return Decision("no", "other version", f"no generation in the path: {LABELS['v1']} decides")
    if step.get("target") == "console" and generation == "v3":
        return Decision("no", "console", "unknown path of the console")
    return Decision("yes", "", "unknown path")


def variables_of(step):
    asked = json.dumps({key: step.get(key) for key in (
        "path", "query", "form", "json", "raw", "multipart", "headers")}, ensure_ascii=False)
    return set(re.findall(r"\{\{(?:int )?([A-Za-z_][\w-]*)\}\}", asked))


def plan(rows, scenario, label, answers):
    """{step id: Decision} of every step of the scenario that has an answer of its own or waits in the background."""
    steps = list(golden.Run(scenario, {"server": "http://localhost:1", "console": "http://localhost:2"},
                            "x", {"adminUser": "", "adminPassword": ""}, label).steps())
    decisions = {}
    for step in steps:
        decisions[step["id"]] = decisions[step["collect"]] if "collect" in step else \
            decide(rows, scenario, label, step)
    needed, client_follows = set(), False
    for step in reversed(steps):
        decision = decisions[step["id"]]
        if decision.scope == "no" and client_follows and decision.area not in ("auth", "other version"):
            saved = set(step.get("save", {})) & needed
            status = answers.get(step["id"], {}).get("status")
            changes = decision.row and decision.row.sets_up() and status is not None and 200 <= status < 300
            if saved or changes:
                why = f"gives {', '.join(sorted(saved))}" if saved else "sets up what later steps ask about"
                decision = decisions[step["id"]] = Decision("setup", "", why, decision.row)
        if decision.scope != "no":
            client_follows = True
            needed |= variables_of(step)
    return decisions


def recordings(label):
    """(recording, scenario) of every HTTP scenario recorded under the label."""
    for path in golden.find_json([os.path.join(HERE, "recorded", label)]):
        with open(path, encoding="utf-8") as file:
            recording = json.load(file)
        yield recording, golden.load_scenario(golden.scenario_file(path, recording, os.path.join(HERE, "scenarios")))


def compute():
    """One dict of COLUMNS for each step of the deciding labels."""
    rows, out = read_rows(), []
    for label in sorted(set(LABELS.values())):
        for recording, scenario in recordings(label):
            decisions = plan(rows, scenario, label, recording["answers"])
            asked = {step["id"]: step for step in scenario["steps"]}
            for identity, decision in decisions.items():
                step = asked[identity]
                if step.get("background"):       # its answer belongs to the step that collects it
                    continue
                request = asked[step["collect"]] if "collect" in step else step
                out.append({"scenario": recording["scenario"], "label": label, "step": identity,
                            "method": request["method"], "path": request["path"],
                            "row": decision.row.name if decision.row else "-", "scope": decision.scope,
                            "area": decision.area or "-", "why": decision.why})
    return out


def table_text(lines):
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE,
                            escapechar="\\", quotechar=None)
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def side_steps():
    """[(method, path, scenarios)]: HTTP calls that gRPC conversations make on the way (read without grpcio)."""
    with open(os.path.join(HERE, "golden_grpc.py"), encoding="utf-8") as file:
        body = re.search(r"^OPERATIONS = (\{.*?^\})", file.read(), re.S | re.M).group(1)
    operations, users = eval(body, {"__builtins__": {}}), collections.defaultdict(set)  # a literal of our own file
    for area in ("connection", "config", "naming"):
        for path in golden.find_json([os.path.join(HERE, "grpc", "recorded", LABELS["v3"], area)]):
            with open(path, encoding="utf-8") as file:
                name = json.load(file)["scenario"]
            with open(os.path.join(HERE, "grpc", "scenarios", name + ".json"), encoding="utf-8") as file:
                for operation in re.findall(r'"http": "([\w.]+)"', file.read()):
                    method, called, _ = operations[operation][3]
                    users[method, "/nacos" + called].add(name)
    return [(method, path, sorted(names)) for (method, path), names in sorted(users.items(), key=lambda p: p[0][::-1])]


INTRODUCTION = """# The golden HTTP steps in scope

Written by `scope.py --update` from `endpoints.tsv`, the scenarios and the rules in `scope.py`; every single step with
its reason is in `scope.tsv`. `setup` steps are calls of other areas that steps of the same scenario build on;
they must answer as recorded, too. Console paths (`/v3/console/...`) are asked below the context path of the main port:
`/nacos/v3/console/health/liveness`."""

SIDE_STEPS = """## HTTP calls inside gRPC conversations

Side steps of the gRPC scenarios (areas connection, config, naming): their status and their effect are looked at;
without them the conversations cannot pass."""


def page_text(lines):
    """SCOPE.md: the work list by endpoint."""
    count = collections.Counter(line["scope"] for line in lines)
    later = collections.Counter(line["area"] for line in lines if line["scope"] == "no")
    out = INTRODUCTION.splitlines() + [
        "", "| | steps |", "|---|---|", f"| asked by clients, operators and monitoring (`yes`) | {count['yes']} |",
        f"| set up what clients ask (`setup`) | {count['setup']} |"]
    out += [f"| later: {area} | {number} |" for area, number in sorted(later.items())]
    for scope, title in (("yes", "Asked by clients, operators and monitoring"), ("setup", "Needed to set scenarios up")):
        out += ["", f"## {title}", "", "| endpoint | steps | scenarios |", "|---|---|---|"]
        groups = collections.defaultdict(collections.Counter)
        for line in lines:
            if line["scope"] == scope:
                key = line["row"] if line["row"] != "-" else "(unknown path or strange request)"
                groups[key][line["scenario"]] += 1
        for name, scenarios in sorted(groups.items(), key=lambda item: (item[0].split(" ")[-1], item[0])):
            users = ", ".join(f"{scenario} {number}" for scenario, number in sorted(scenarios.items()))
            out.append(f"| `{name}` | {sum(scenarios.values())} | {users} |")
    out += [""] + SIDE_STEPS.splitlines() + ["", "| endpoint | scenarios |", "|---|---|"]
    out += [f"| `{method} {path}` | {', '.join(names)} |" for method, path, names in side_steps()]
    return "\n".join(out) + "\n"


def stale():
    """The generated files that are not what the rules give."""
    lines = compute()
    found = []
    for path, text in ((TABLE, table_text(lines)), (PAGE, page_text(lines))):
        try:
            with open(path, encoding="utf-8") as file:
                same = file.read() == text
        except FileNotFoundError:
            same = False
        if not same:
            found.append(os.path.basename(path))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--check", action="store_true")
    group.add_argument("--update", action="store_true")
    options = parser.parse_args()
    if options.update:
        lines = compute()
        for path, text in ((TABLE, table_text(lines)), (PAGE, page_text(lines))):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    old = stale()
    if old:
        print(f"out of date: {', '.join(old)}; run scope.py --update")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
