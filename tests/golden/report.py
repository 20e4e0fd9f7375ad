"""Counts, the report by endpoint, result.json, and the section of docs/compatibility.md."""
import collections
import json
import os

import departures

BEGIN, END = "<!-- golden:begin (written by tests/golden/run.py --update-docs) -->", "<!-- golden:end -->"


def summarise(items, entries, stale, warnings, checks, seconds, whole):
    """Everything of a run, for machines and for the texts below."""
    http = [item for item in items if item["protocol"] == "http" and item["scope"] != "no"]
    calls = [item for item in items if item["protocol"] == "grpc" and item["scope"] != "no"]
    talks = collections.defaultdict(list)
    for item in calls:
        talks[item["scenario"]].append(item["status"])
    states = collections.Counter(
        "failed" if "failed" in seen else "not asked" if "not asked" in seen else
        "departure" if "departure" in seen else "passed" for seen in talks.values())
    later = collections.defaultdict(collections.Counter)
    for item in items:
        if item["scope"] == "no":
            later[item["area"]][item["status"]] += 1
    return {
        "whole": whole, "seconds": round(seconds, 1),
        "http": tally(http), "http by label": {label: tally([i for i in http if i["label"] == label])
                                               for label in sorted({i["label"] for i in http})},
        "grpc": {"conversations": {**{k: states[k] for k in ("passed", "departure", "failed", "not asked")},
                                   "all": len(talks)}, "steps": tally(calls)},
        "later": {area: {**counts, "all": sum(counts.values())} for area, counts in sorted(later.items())},
        "kinds": {kind: sum(1 for i in items if i.get("kind") == kind) for kind in departures.KINDS},
        "departures": [{**entry.entry, "number": entry.number, "applied": len(entry.applied),
                        "endpoints": sorted({i["endpoint"] for i in entry.applied})} for entry in entries],
        "stale": stale, "warnings": warnings,
        "checks": [{"check": name, "ok": ok, "detail": detail} for name, ok, detail in checks],
        "items": items,
    }


def tally(items):
    states = collections.Counter(item["status"] for item in items)
    return {**{k: states[k] for k in ("passed", "departure", "failed", "not asked")}, "all": len(items),
            "setup": sum(1 for item in items if item["scope"] == "setup")}


def is_good(result):
    """Did everything in scope that was asked answer as recorded or as departures.toml says?"""
    asked = result["http"]["all"] + result["grpc"]["conversations"]["all"]
    missing = result["http"]["not asked"] + result["grpc"]["conversations"]["not asked"]
    return (asked > missing and not result["http"]["failed"] and not result["grpc"]["steps"]["failed"]
            and not result["stale"] and all(check["ok"] for check in result["checks"]))


# ---------------------------------------------------------------------------------------------------------------- texts

def counts_text(result):
    http, talks, steps = result["http"], result["grpc"]["conversations"], result["grpc"]["steps"]
    out = ["", f"HTTP   {http['all']} steps in scope ({http['setup']} of them setup): {states_text(http)}"]
    for label, counts in result["http by label"].items():
        out.append(f"       {label}: {counts['all']} steps: {states_text(counts)}")
    out.append(f"gRPC   {talks['all']} conversations: {states_text(talks)}; {steps['all']} steps: {states_text(steps)}")
    kinds = ", ".join(f"{kind} {number}" for kind, number in result["kinds"].items())
    out.append(f"departures by kind (steps): {kinds}")
    out.append("later  (not in scope; asked where a scenario in scope contains them)")
    for area, counts in result["later"].items():
        asked = counts["all"] - counts.get("not asked", 0)
        out.append(f"       {area}: {counts['all']} steps, {asked} asked, {counts.get('passed', 0)} as recorded")
    for check in result["checks"]:
        out.append(f"{'ok    ' if check['ok'] else 'FAIL  '} {check['check']}" +
                   (f": {check['detail']}" if check["detail"] else ""))
    out += ["WARN   " + text for text in result["warnings"]] + ["FAIL   stale " + text for text in result["stale"]]
    out.append(f"{'passed' if is_good(result) else 'FAILED'} in {result['seconds']} s")
    passed, failed = sums(result)
    out.append(f"{passed} passed, {failed} failed")
    return "\n".join(out)


def sums(result):
    """Steps that answered as they should, departures among them, and everything that did not."""
    parts = (result["http"], result["grpc"]["steps"])
    passed = sum(part["passed"] + part["departure"] for part in parts)
    failed = sum(part["failed"] for part in parts) + len(result["stale"])
    failed += sum(1 for check in result["checks"] if not check["ok"])
    return passed, failed if is_good(result) else max(failed, 1)


def states_text(counts):
    return f"{counts['passed']} as recorded, {counts['departure']} departures, {counts['failed']} failed" + \
        (f", {counts['not asked']} not asked" if counts["not asked"] else "")


def scenario_text(protocol, name, items, seconds, verbose, quiet):
    """What is printed when a scenario ends."""
    mine = [item for item in items if item["scope"] != "no"]
    bad = [item for item in mine if item["status"] == "failed"]
    known = sum(1 for item in mine if item["status"] == "departure")
    extra = len(items) - len(mine)
    out = [f"{'FAIL' if bad else 'ok  '}  {protocol} {name}: {len(mine) - len(bad)} of {len(mine)}"
           + (f", {known} departures" if known else "") + (f", {extra} for later" if extra else "")
           + f"  ({seconds:.1f} s)"]
    for item in items if verbose else bad:
        if item["status"] == "failed" and not quiet or verbose:
            mark = "later" if item["scope"] == "no" else item["status"]
            out.append(f"      {mark:9} {item['step']}  {item['endpoint']}")
            if item["status"] in ("failed", "departure") and item["scope"] != "no":
                out += ["          " + line for line in item["differences"][:None if verbose else 6]]
                if verbose and item.get("request"):
                    out.append("          " + item["request"])
    return "\n".join(out)


def report_text(result, show=5):
    """The failing steps in scope by endpoint, those that fail most first."""
    groups = collections.defaultdict(list)
    for item in result["items"]:
        if item["scope"] != "no" and item["status"] == "failed":
            groups[item["endpoint"]].append(item)
    totals = collections.Counter(item["endpoint"] for item in result["items"] if item["scope"] != "no")
    out = []
    for endpoint, failing in sorted(groups.items(), key=lambda group: -len(group[1])):
        out.append(f"\n== {endpoint}: {len(failing)} of {totals[endpoint]} steps fail")
        seen = collections.Counter()
        for item in failing:
            kind = (item["differences"] or ["?"])[0][:60]
            seen[kind] += 1
            if seen[kind] > show:               # the same again
                continue
            out.append(f"  {item['label']} {item['scenario']} {item['step']}")
            if item.get("request"):
                out.append("    " + item["request"])
            out.append("    " + (item.get("first") or item["differences"][0]))
            out += ["      " + line for line in item["differences"][:3]]
        for kind, number in seen.items():
            if number > show:
                out.append(f"  ... and {number - show} more that begin: {kind}")
    return "\n".join(out) or "nothing in scope fails"


# --------------------------------------------------------------------------------------------------------------- files

def write(result, path):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, ensure_ascii=False, indent=1)


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def docs_section(result):
    """Markdown between the markers: counts, then every departure."""
    http, talks = result["http"], result["grpc"]["conversations"]
    out = ["## Golden answers", "",
           "What real Nacos servers answered, replayed against nacre: gRPC and HTTP v3 as Nacos 3.1.0 answers, HTTP v1",
           "and v2 as 2.5.1. Every step of clients, operators and monitoring is compared, JSON value by value and all else byte by byte",
           "(`tests/golden/SCOPE.md` lists the steps).", "",
           "| | all | as recorded | departures | failing |", "|---|---|---|---|---|"]
    for label, counts in result["http by label"].items():
        name = {"nacos-2.5.1": "HTTP v1 and v2 steps (2.5.1)", "nacos-3.1.0": "HTTP v3 steps (3.1.0)"}.get(label, label)
        out.append(row_of(name, counts))
    out += [row_of("gRPC conversations (3.1.0)", talks), row_of("gRPC steps (3.1.0)", result["grpc"]["steps"]), ""]
    later = sum(counts["all"] for area, counts in result["later"].items() if area != "other version")
    areas = ", ".join(f"{area} {counts['all']}" for area, counts in result["later"].items() if area != "other version")
    out += [f"For later work, and not counted above: {later} steps ({areas}).", "", "### Departures", ""]
    used = [entry for entry in result["departures"] if entry["applied"]]
    if not used:
        out.append("None: every step in scope answers as recorded.")
        return "\n".join(out)
    out.append("Where nacre answers otherwise on purpose. " + "; ".join(
        f"*{kind}*: {meaning} ({result['kinds'][kind]} steps)" for kind, meaning in departures.KINDS.items()) + ".")
    out += ["", "| kind | where | steps | what nacre does | why |", "|---|---|---|---|---|"]
    for entry in sorted(used, key=lambda e: (list(departures.KINDS).index(e["kind"]), e["number"])):
        where = ", ".join(f"`{name}`" for name in entry["endpoints"])
        kind = f"{entry['kind']} ({entry['area']})" if "area" in entry else entry["kind"]
        cells = [kind, where, str(entry["applied"]), entry["docs"], entry["reason"]]
        out.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(out)


def row_of(name, counts):
    return f"| {name} | {counts['all']} | {counts['passed']} | {counts['departure']} | {counts['failed']} |"


def update_docs(result, path):
    """Puts the section between its markers, or at the end of the page."""
    if not result["whole"]:
        raise ValueError("only a whole run writes the page; this one was cut down (--only, --protocol, --limit)")
    section = f"{BEGIN}\n{docs_section(result)}\n{END}\n"
    text = "# Compatibility\n\n"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
    if (BEGIN in text) != (END in text):
        raise ValueError(f"{path} has only one of the two markers")
    if BEGIN in text:
        head, rest = text.split(BEGIN, 1)
        tail = rest.split(END, 1)[1].strip("\n")
        text = head + section + (f"\n{tail}\n" if tail else "")
    else:
        text = text.rstrip("\n") + "\n\n" + section
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
