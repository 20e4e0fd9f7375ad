"""Where nacre answers otherwise than the recordings on purpose: departures.toml, read and applied.

An entry:

    [[departure]]
    scenario = "naming/v1-*"            # a glob over area/name
    steps = ["list-*"]                  # globs over step ids; of gRPC conversations step numbers
    label = "nacos-2.5.1"
    protocol = "http"                   # or "grpc"; http when absent
    kind = "better"                     # better | accident | later
    area = "administration"             # kind later only: the work that will bring it
    differs = ["^status: expected 500"] # optional: every line of difference must match one of these
    reason = "why the recorded answer is not given"
    docs = "what docs/compatibility.md tells people"

Only a part of TOML is read: tables `[[departure]]`, strings, and lists of strings.
"""
import fnmatch
import json
import re

KINDS = {"better": "the reference's answer hurts people", "accident": "the reference leaks an internal failure",
         "later": "belongs to later work"}
NOT_ASKED = "not asked: "      # how the difference of a step begins that never reached the server
REQUIRED = {"scenario", "steps", "label", "kind", "reason", "docs"}
OPTIONAL = {"protocol", "area", "differs"}


class DepartureError(Exception):
    """departures.toml says something that cannot be meant."""


# -------------------------------------------------------------------------------------------- the part of TOML we read

TOKEN = re.compile(r'''
    (?P<space>[ \t\r]+|\#[^\n]*) | (?P<newline>\n) | (?P<table>\[\[[ \t]*[\w-]+[ \t]*\]\]) |
    (?P<long>"""(?:[^\\]|\\.)*?""") | (?P<basic>"(?:[^"\\\n]|\\.)*") | (?P<literal>\'[^\'\n]*\') |
    (?P<key>[\w-]+) | (?P<mark>[=\[\],])''', re.X | re.S)


def tokens(text):
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        line = text.count("\n", 0, position) + 1
        if not match:
            raise DepartureError(f"line {line}: cannot read {text[position:position + 20]!r}")
        position = match.end()
        if match.lastgroup != "space":
            yield match.lastgroup, match.group(), line
    yield "newline", "\n", text.count("\n") + 1


def string_value(kind, raw, line):
    if kind == "literal":
        return raw[1:-1]
    if kind == "long":
        raw = re.sub(r"\\[ \t]*\n\s*", "", raw[3:-3][1:] if raw[3:4] == "\n" else raw[3:-3])
        raw = '"' + re.sub(r'(?<!\\)"', r'\\"', raw).replace("\n", "\\n").replace("\t", "\\t") + '"'
    try:
        return json.loads(raw)
    except ValueError:
        raise DepartureError(f"line {line}: bad escape in {raw[:40]}") from None


def parse(text):
    """{table: [entries]} of the text."""
    stream, tables, entry = list(tokens(text)), {}, None
    at = 0

    def take(*kinds):
        nonlocal at
        if at == len(stream):
            raise DepartureError("the text ends inside a list or an entry")
        kind, raw, line = stream[at]
        if kind not in kinds and raw not in kinds:
            raise DepartureError(f"line {line}: {raw.strip() or 'end of line'!r} where {' or '.join(kinds)} should be")
        at += 1
        return kind, raw, line

    while at < len(stream):
        kind, raw, line = take("newline", "table", "key")
        if kind == "table":
            entry = {}
            tables.setdefault(raw.strip("[] \t"), []).append(entry)
        elif kind == "key":
            if entry is None:
                raise DepartureError(f"line {line}: {raw} stands before the first [[departure]]")
            if raw in entry:
                raise DepartureError(f"line {line}: {raw} is given twice")
            take("=")
            found, value, here = take("basic", "literal", "long", "[")
            if value != "[":
                entry[raw] = string_value(found, value, here)
            else:
                items, last = [], ","
                while True:
                    found, value, here = take("basic", "literal", "long", "newline", "]", ",")
                    if value == "]":
                        break
                    if found in ("basic", "literal", "long"):
                        if last != ",":
                            raise DepartureError(f"line {here}: a comma is missing")
                        items.append(string_value(found, value, here))
                    if found != "newline":
                        last = value
                entry[raw] = items
        if kind != "newline":
            take("newline")
    return tables


# --------------------------------------------------------------------------------------------------------- the entries

class Departure:
    def __init__(self, number, entry):
        where = f"departure {number} ({entry.get('scenario', '?')})"
        missing, unknown = REQUIRED - set(entry), set(entry) - REQUIRED - OPTIONAL
        if missing or unknown:
            raise DepartureError(f"{where}: " + "; ".join(
                ["missing " + ", ".join(sorted(missing))] * bool(missing) +
                ["unknown " + ", ".join(sorted(unknown))] * bool(unknown)))
        for key in ("steps", "differs"):
            if not isinstance(entry.get(key, []), list):
                raise DepartureError(f"{where}: {key} is a list")
        if not entry["steps"]:
            raise DepartureError(f"{where}: names no step")
        if entry["kind"] not in KINDS:
            raise DepartureError(f"{where}: kind is one of {', '.join(KINDS)}")
        if (entry["kind"] == "later") != ("area" in entry):
            raise DepartureError(f"{where}: area goes with kind later, and only with it")
        if entry.get("protocol", "http") not in ("http", "grpc"):
            raise DepartureError(f"{where}: protocol is http or grpc")
        for key in ("reason", "docs"):
            if not entry[key].strip():
                raise DepartureError(f"{where}: {key} is empty")
        self.number, self.entry, self.where = number, entry, where
        self.kind, self.protocol = entry["kind"], entry.get("protocol", "http")
        self.differs = [re.compile(pattern) for pattern in entry.get("differs", [])]
        self.applied, self.matched_again = [], []

    def names(self, item):
        """Does the entry speak of this step?"""
        entry = self.entry
        return (self.protocol == item["protocol"] and entry["label"] == item["label"]
                and fnmatch.fnmatchcase(item["scenario"], entry["scenario"])
                and any(fnmatch.fnmatchcase(item["step"], glob) for glob in entry["steps"]))

    def explains(self, lines):
        """A step that could not be asked is never explained; else every line must be meant."""
        return not lines[0].startswith(NOT_ASKED) and (
            not self.differs or all(any(p.search(line) for p in self.differs) for line in lines))

    def exact(self, item):
        """Is this very step written out, not met by a glob?"""
        return self.entry["scenario"] == item["scenario"] and item["step"] in self.entry["steps"]


def read(path):
    with open(path, encoding="utf-8") as file:
        tables = parse(file.read())
    if set(tables) - {"departure"}:
        raise DepartureError(f"unknown table {', '.join(sorted(set(tables) - {'departure'}))}")
    return [Departure(number, entry) for number, entry in enumerate(tables.get("departure", []), 1)]


def unknown_steps(entries, known):
    """Entries that name no step of `known` (items of everything in scope, replayed or not)."""
    return [f"{entry.where}: names no step in scope" for entry in entries
            if not any(entry.names(item) for item in known)]


def apply(items, entries):
    """Gives failed items in scope their departure (`status`, `departure`, `kind`); entries remember what they met."""
    for item in items:
        if item["scope"] == "no":
            continue
        for entry in entries:
            if not entry.names(item):
                continue
            if item["status"] == "passed":
                entry.matched_again.append(item)
            elif item["status"] == "failed" and entry.explains(item["differences"]):
                item.update(status="departure", departure=entry.number, kind=entry.kind)
                entry.applied.append(item)
                break


def audit(entries):
    """(stale, warnings): sentences about entries that are no longer true."""
    stale, warnings = [], []
    for entry in entries:
        exact = [item for item in entry.matched_again if entry.exact(item)]
        for item in exact:
            stale.append(f"{entry.where}: {item['scenario']} {item['step']} answers as recorded again")
        if entry.matched_again and not entry.applied and not exact:
            warnings.append(f"{entry.where}: every step it names answers as recorded again")
    return stale, warnings
