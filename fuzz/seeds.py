#!/usr/bin/env python3
"""Adds inputs from the recorded conversations below tests/golden to the corpora."""
import json
import pathlib
import urllib.parse

import corpus

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
# Bytes of one target's recorded inputs; more of the same teaches nothing.
BUDGET = 60_000

# Parameters with a syntax of their own, and who reads it.
PARAMETERS = {
    "beat": ["beat"],
    "metadata": ["metadata"],
    "selector": ["selector"],
    "healthChecker": ["health_checker"],
    "Listening-Configs": ["listening_configs"],
    "instances": ["metadata"],
    "serviceNameParam": ["name_patterns"],
    "expr": ["name_patterns"],
}
# The order of `grpc::body`.
BODIES = [
    "InstanceRequest", "BatchInstanceRequest", "ServiceQueryRequest", "ServiceListRequest", "SubscribeServiceRequest",
    "ConfigQueryRequest", "ConfigPublishRequest", "ConfigRemoveRequest", "ConfigBatchListenRequest",
    "ConnectionSetupRequest", "NamingFuzzyWatchRequest", "PushAckRequest", "HealthCheckRequest",
]
ALIASES = {"PersistentInstanceRequest": "InstanceRequest", "ConfigFuzzyWatchRequest": "NamingFuzzyWatchRequest"}


def plain(value):
    """Values of variables do not matter."""
    return str(value).replace("{{run}}", "1").replace("{{ns}}", "public")


def spread(inputs):
    """One of each first word or path, then the second of each, and so on; short ones first."""
    seen, ranked = {}, []
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        kind = b" ".join(data.split(b"\n")[0].split(b"?")[0].split(b" ")[:2])
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((seen[kind], len(data), data))
    return [data for _, _, data in sorted(ranked)]


class Seeds:
    def __init__(self):
        self.found = {}

    def add(self, target, data):
        if isinstance(data, str):
            data = data.encode()
        if 0 < len(data) <= 4096:
            self.found.setdefault(target, {}).setdefault(data, None)

    def write(self):
        for target, inputs in sorted(self.found.items()):
            kept, others = corpus.load(target)
            fresh, spent = [], 0
            for data in spread(inputs):
                spent += len(data)
                if spent > BUDGET:
                    break
                fresh.append(data)
            corpus.save(target, kept, others + fresh)


def http_steps(seeds, scenario):
    for step in scenario.get("steps", []):
        if "path" not in step:
            continue
        query = {k: plain(v) for k, v in (step.get("query") or {}).items()}
        form = {k: plain(v) for k, v in (step.get("form") or {}).items()}
        for name, value in list(query.items()) + list(form.items()):
            for target in PARAMETERS.get(name, []):
                seeds.add(target, value)
        target = urllib.parse.quote(plain(step["path"]), safe="/%{}") + ("?" + urllib.parse.urlencode(query) if query else "")
        headers = {k: plain(v) for k, v in (step.get("headers") or {}).items()}
        body = ""
        if form:
            body = urllib.parse.urlencode(form)
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            seeds.add("http_form", urllib.parse.urlencode(query) + "\n" + body)
        elif "json" in step:
            body = plain(json.dumps(step["json"]))
            headers.setdefault("Content-Type", "application/json")
        elif isinstance(step.get("raw"), str):
            body = plain(step["raw"])
        lines = [f"{step['method']} {target}"] + [f"{k}: {v}" for k, v in headers.items()]
        seeds.add("http_request", "\n".join(lines) + "\n\n" + body)
        if query:
            seeds.add("http_form", urllib.parse.urlencode(query))


def grpc_steps(seeds, steps):
    for step in steps:
        grpc_steps(seeds, step.get("steps", []))
        name = step.get("call") or step.get("send")
        if not name or "body" not in step:
            continue
        body = step["raw"] if isinstance(step.get("raw"), str) else json.dumps(step["body"], ensure_ascii=False)
        body = plain(body)
        seeds.add("grpc_call", f"{name}\n{body}")
        known = ALIASES.get(name, name)
        if known in BODIES:
            seeds.add("grpc_body", bytes([BODIES.index(known)]) + body.encode())
        seeds.add("grpc_payload", payload(name, body.encode()))
        pattern = step["body"].get("groupKeyPattern") if isinstance(step["body"], dict) else None
        if pattern:
            seeds.add("fuzzy_watch", plain(pattern) + "\napp-1")
            seeds.add("search_patterns", plain(pattern) + "\npublic>>G>>app-1")


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def payload(name, body):
    """metadata (2): type (3), clientIp (8), headers (7); body (3): value (2)."""
    header = field(1, b"app") + field(2, b"unknown")
    metadata = field(3, name.encode()) + field(8, b"10.0.0.1") + field(7, header)
    return field(2, metadata) + field(3, field(2, body))


def main():
    seeds = Seeds()
    for path in sorted((GOLDEN / "scenarios").glob("*/*.json")):
        http_steps(seeds, json.loads(path.read_text()))
    for path in sorted((GOLDEN / "grpc" / "scenarios").rglob("*.json")):
        grpc_steps(seeds, json.loads(path.read_text()).get("steps", []))
    seeds.write()
    for target, inputs in sorted(seeds.found.items()):
        print(f"{target}: {len(inputs)} recorded inputs")


if __name__ == "__main__":
    main()
