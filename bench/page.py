"""The page of figures and the results that the promise page reads, made from target/bench/*.json."""
import dataclasses
import json
import math
import os
import platform
import re
import statistics
import subprocess

KB, MB = 1000, 1_000_000


@dataclasses.dataclass
class Row:
    what: str
    target: str
    measured: str
    verdict: str  # hit, missed, open (not measured), info (no target)
    command: str = ""


def load(folder):
    """Results by name."""
    found = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if name.endswith(".json"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found[name[:-5]] = json.load(file)
    return found


def verdict(good):
    return "hit" if good else "missed"


def ratio_to(result, name):
    """The ratios of rate and CPU time to another server of the same run; None when it took no part."""
    for ratio in result.get("ratios", []):
        if ratio["to"] == name:
            return ratio["rate"], ratio["cpu"]
    return None


def server(result, name="target"):
    return next((each for each in result.get("servers", []) if each["name"] == name), None)


def against(results, key, label, bare, least_others):
    """A row for each server that an operation is compared with."""
    result = results.get(key)
    if not result:
        return [Row(label, "", "not measured", "open")]
    rows = []
    rate = server(result)["rate"]
    wanted = [(bare, 0.8)] + [(name, least) for name, least in least_others if ratio_to(result, name)]
    for name, least in wanted:
        ratio = ratio_to(result, name)
        if not ratio:
            rows.append(Row(f"{label}, to {name}", f"≥ {least} x", "not measured", "open"))
            continue
        cpu = f", {ratio[1]:.2f} x its CPU" if ratio[1] else ""
        other = server(result, name)["rate"]
        measured = f"{ratio[0]:.2f} x{cpu} ({rate / 1000:.1f} k/s, {other / 1000:.1f} k/s)"
        rows.append(Row(f"{label}, to {name}", f"≥ {least} x", measured, verdict(ratio[0] >= least), result["command"]))
    return rows


def simple(results, key, what, target, pick, shown, good):
    """A row for one number of a result."""
    result = results.get(key)
    value = pick(result) if result else None
    if value is None:
        return Row(what, target, "not measured", "open")
    return Row(what, target, shown(value), verdict(good(value)), result.get("command", ""))


def ms(micros):
    return f"{micros / 1000:.1f} ms"


def fan_out_rows(results):
    result = results.get("fan-out-service")
    if not result:
        return [Row("one change, 1,000 gRPC subscribers", "", "not measured", "open")]
    rows = []
    ours = server(result)
    for what, key, limit in (("first", "first_us", 5), ("last", "last_us", 60)):
        value = ours[key]
        shown = f"p50 {ms(value['p50'])}, p90 {ms(value['p90'])}, max {ms(value['max'])}"
        target = f"p90 ≤ {limit} ms"
        rows.append(Row(f"one change, 1,000 gRPC subscribers: {what} acknowledged", target, shown, verdict(value["p90"] <= limit * 1000), result["command"]))
    for kind in ("service", "config", "long-poll"):
        result = results.get(f"fan-out-{kind}") or {}
        for each in result.get("servers", []):
            if kind == "service" and each["name"] == "target":
                continue
            name = "nacre" if each["name"] == "target" else each["name"]
            shown = f"first {ms(each['first_us']['p50'])}, median {ms(each['median_us']['p50'])}, last {ms(each['last_us']['p50'])} (max {ms(each['last_us']['max'])}), missed {each['missed']}"
            rows.append(Row(f"one change, 1,000 {kind} subscribers, {name}", "", shown, "info", result["command"]))
    return rows


def in_turns(result, figure):
    """How many times as much with as without, over pairs of turns: the mean of ratios in which twice and half are nothing together,
    and the variance of its logarithm (none of a single pair)."""
    logs = [math.log(on[figure] / off[figure]) for on, off in zip(result["on"], result["off"])]
    spread = statistics.variance(logs) / len(logs) if len(logs) > 1 else 0.0
    return math.exp(statistics.fmean(logs)), spread


def overhead_rows(results):
    """What the signals cost, by operation. A server that its processors bound does the less of what takes more processor time, so
    that time decides; throughput says the same with more noise. The error is the standard one."""
    what, found = "signals, cost of throughput", {}
    for name, result in of_operations(results, "signals-"):
        found[name] = (in_turns(result, "rate")[0], *in_turns(result, "cpu"), len(result["on"]), result["command"])
    if not found:
        return [Row(what, "≤ 2 %", "not measured", "open")]
    rate = statistics.geometric_mean(each[0] for each in found.values())
    cost, shown = share({name: each[1:3] for name, each in found.items()}, "by CPU time")
    worst = max(found, key=lambda name: found[name][1])
    rows = [Row(what, "≤ 2 %", f"{shown}; {(1 - rate) * 100:.1f} % by throughput", verdict(cost <= 0.02), found[worst][4])]
    for name, (rate, cpu, spread, pairs, command) in found.items():
        rows.append(Row(f"signals, {name}", "", f"{cpu:.3f} ± {math.sqrt(spread):.3f} x the CPU time, {rate:.3f} x the throughput of the same "
                        f"server without them, {pairs} pairs of turns", "info", command))
    return rows


def instruction_rows(results):
    """The same in instructions of the threads that serve, which other load does not change."""
    found = dict(of_operations(results, "instructions-"))
    if not found:
        return [Row("signals, cost in instructions", "≤ 2 %", "not measured", "open")]
    cost, shown = share({name: in_turns(result, "instructions") for name, result in found.items()}, "of the instructions")
    rows = [Row("signals, cost in instructions", "≤ 2 %", shown, verdict(cost <= 0.02), "bench/run.py --only instructions")]
    for name, result in found.items():
        ratio, spread = in_turns(result, "instructions")
        count = statistics.fmean(turn["instructions"] for turn in result["on"])
        measured = f"{count:,.0f} a call, of which signals {(1 - 1 / ratio) * 100:.1f} % ± {math.sqrt(spread) * 100:.1f}"
        rows.append(Row(f"instructions, {name}", "", measured, "info", result["command"]))
    return rows


def of_operations(results, prefix):
    """(operation as it is shown, result) of the results that begin so."""
    for key, result in results.items():
        if key.startswith(prefix):
            protocol, operation = key.removeprefix(prefix).split("-", 1)
            yield f"{'HTTP' if protocol == 'http' else 'gRPC'} {operation}", result


def share(found, of_what):
    """Of ratios with their spread by operation: what share is the signals' over all of them, and how it is said."""
    cost = 1 - 1 / statistics.geometric_mean(ratio for ratio, _ in found.values())
    error = math.sqrt(sum(spread for _, spread in found.values())) / len(found)
    worst = max(found, key=lambda name: found[name][0])
    ratio, spread = found[worst]
    return cost, (f"{cost * 100:.1f} % ± {error * 100:.1f} {of_what} over {len(found)} operations, most for {worst}: "
                  f"{(1 - 1 / ratio) * 100:.1f} % ± {math.sqrt(spread) * 100:.1f}")


def config_cost(result):
    """Bytes of a config beyond its content."""
    before = (server(result) or {}).get("memory_before")
    if not before or "settled" not in result:
        return None
    return (result["settled"]["resident"] - before["resident"]) / result["count"] - result["settings"]["content_bytes"]


def buffers(results):
    """What a connection holds after its first long call, beside what it holds when it was only opened."""
    listened = (results.get("connections") or {}).get("listened") or {}
    what = f"buffers of a gRPC connection after a call about {listened.get('keys_each', 50)} keys"
    if "buffers_a_connection" not in listened:
        return Row(what, "", "not measured", "open")
    return Row(what, "", f"{listened['buffers_a_connection'] / KB:.1f} KB", "info", results["connections"].get("command", ""))


def last_step(result, key):
    return result["steps"][-1][key] if result.get("steps") else None


def rows(results):
    """Every row of the table, in its order."""
    others = [("r-nacos", 2), ("java-nacos", 15)]
    table = []
    for operation, label in (("config-get", "config get"), ("list", "instance list (10)"), ("beat", "beat"), ("register", "register")):
        table += against(results, f"http-{operation}", f"HTTP {label}", "bare hyper", others)
    for operation, label in (("config-query", "config query"), ("service-query", "service query"), ("register", "register")):
        table += against(results, f"grpc-{operation}", f"gRPC {label}", "bare tonic", [])
    publish = results.get("publish-64")
    if publish and (ratio := ratio_to(publish, "r-nacos")):
        measured = f"{ratio[0]:.2f} x ({server(publish)['rate']:.0f}/s, {server(publish, 'r-nacos')['rate']:.0f}/s)"
        table.append(Row("durable publish, 64 clients, to r-nacos", "≥ 3 x", measured, verdict(ratio[0] >= 3), publish["command"]))
    else:
        table.append(Row("durable publish, 64 clients, to r-nacos", "≥ 3 x", "not measured", "open"))
    scaling = {n: server(results[f"publish-{n}"])["rate"] for n in (1, 16, 64, 256) if f"publish-{n}" in results}
    if len(scaling) > 1:
        shown = ", ".join(f"{n}: {rate:.0f}/s" for n, rate in scaling.items())
        grows = scaling[max(scaling)] > scaling[min(scaling)] * 2
        table.append(Row("durable publish, by clients", "scales with clients", shown, verdict(grows), results["publish-16"]["command"] if 16 in scaling else ""))
    table += overhead_rows(results) + instruction_rows(results)
    table += fan_out_rows(results)
    table += [
        simple(results, "footprint", "memory of an ephemeral instance, HTTP", "≤ 450 B", lambda r: r.get("bytes_an_instance"), lambda v: f"{v:.0f} B", lambda v: v <= 450),
        simple(results, "registry", "memory of an ephemeral instance, gRPC", "≤ 450 B", lambda r: r["sizes"][-1]["bytes_an_instance"], lambda v: f"{v:.0f} B", lambda v: v <= 450),
        simple(results, "connections", "memory of an idle gRPC connection", "≤ 12 KB", lambda r: last_step(r, "bytes_a_connection"), lambda v: f"{v / KB:.1f} KB", lambda v: v <= 12 * KB),
        simple(results, "connections", "memory of a listened key", "≤ 100 B", lambda r: (r.get("listened") or {}).get("bytes_a_key"), lambda v: f"{v:.0f} B", lambda v: v <= 100),
        buffers(results),
        simple(results, "configs", "memory of a config beyond its content", "≤ 1.5 KB", config_cost, lambda v: f"{v / KB:.2f} KB", lambda v: v <= 1.5 * KB),
        simple(results, "idle", "memory when idle", "≤ 15 MB", lambda r: r["memory"]["resident"], lambda v: f"{v / MB:.1f} MB, of which {results['idle']['memory']['anonymous'] / MB:.1f} MB are not the binary's own pages", lambda v: v <= 15 * MB),
        simple(results, "million", "1 M instances, 200 k beats/s in process", "below one core, nothing expires", lambda r: r, lambda v: f"{v['beats_a_second'] / 1000:.0f} k beats/s take {v['cores']:.2f} cores, {v['expiry_events']} expired", lambda v: v["cores"] < 1 and not v["expiry_events"]),
        simple(results, "million", "list with 1 M instances, to one with 1 k", "± 10 %", lambda r: r["list_ns"] / r["list_ns_of_1000"], lambda v: f"{v:.2f} x", lambda v: v <= 1.1),
        simple(results, "start-empty", "start, empty", "≤ 100 ms", lambda r: statistics.median(r["seconds"]), lambda v: f"{v * 1000:.0f} ms", lambda v: v <= 0.1),
        simple(results, "start-configs", "start with 100 k configs", "≤ 2 s", lambda r: statistics.median(r["seconds"]), lambda v: f"{v:.2f} s with {results['start-configs']['configs']}", lambda v: v <= 2),
        simple(results, "binary", "size of the binary", "≤ 25 MB", lambda r: r["bytes"], lambda v: f"{v / MB:.1f} MB", lambda v: v <= 25 * MB),
    ]
    return table


def machine(binary, root):
    """Where and what was measured."""
    def out(*command):
        try:
            return subprocess.run(command, stdout=subprocess.PIPE, cwd=root, check=False).stdout.decode().strip()
        except OSError:
            return ""
    cpuinfo = open("/proc/cpuinfo", encoding="utf-8").read() if os.path.exists("/proc/cpuinfo") else ""
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    memory = re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo", encoding="utf-8").read())
    version = os.path.join(os.path.dirname(os.path.dirname(binary)), "rnacos", "version")
    return {
        "cores": os.cpu_count(),
        "cpu": model.group(1) if model else platform.machine(),
        "memory": f"{int(memory.group(1)) / 1048576:.0f} GiB",
        "kernel": platform.release(),
        "nacre": out(binary, "--version").replace("nacre ", "") + " (" + out("git", "rev-parse", "--short", "HEAD") + ")",
        "rustc": out("rustc", "--version"),
        "rnacos": open(version, encoding="utf-8").read().strip() if os.path.exists(version) else "",
    }


def footprint(text):
    """What the example of that name prints."""
    names = {"register": "register_ns", "resident": "bytes_an_instance", "beat": "beat_ns", "list": "list_ns", "tick": "tick_ns"}
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in names:
            found[names[words[0]]] = float(words[1])
    return found


def render(results, facts):
    table = rows(results)
    stamps = sorted(r["measured_at"] for r in results.values() if "measured_at" in r)
    out = [HEAD.format(
        day=stamps[-1] if stamps else "never", **{**facts, "rnacos": f"; r-nacos {facts['rnacos']}" if facts["rnacos"] else ""},
        hit=sum(r.verdict == "hit" for r in table), missed=sum(r.verdict == "missed" for r in table),
        open=sum(r.verdict == "open" for r in table))]
    out.append("| path | at least | measured | |\n|---|---|---|---|\n")
    shown = {"hit": "hit", "missed": "**missed**", "open": "not measured", "info": ""}
    for row in table:
        out.append(f"| {row.what} | {row.target} | {row.measured} | {shown[row.verdict]} |\n")
    out.append(LATENCY)
    for name, result in results.items():
        for each in result.get("servers", []):
            latency = each.get("latency_us")
            if latency and name.startswith(("http-", "grpc-", "publish-")):
                who = "nacre" if each["name"] == "target" else each["name"]
                cpu = f"{each['cpu_us_each']:.1f}" if each["cpu_us_each"] else ""
                cells = " | ".join(f"{latency[key] / 1000:.2f}" for key in ("p50", "p90", "p99", "p999", "max"))
                out.append(f"| {result['operation']}, {result['settings']['connections']} connections, {who} | {each['rate']:.0f} | {cells} | {cpu} | {each['tool_cpu_us_each']:.1f} |\n")
    out.append("\n## Commands\n\nEach row is one of these, run by `bench/run.py`:\n\n```sh\n")
    out.extend(f"{command}\n" for command in dict.fromkeys(r["command"] for r in results.values() if r.get("command")))
    out.append("```\n")
    notes = os.path.join(os.path.dirname(os.path.abspath(__file__)), "notes.md")
    if os.path.exists(notes):
        with open(notes, encoding="utf-8") as file:
            out.append("\n" + file.read())
    return "".join(out)


def promises(results, facts, folder):
    """One file for each figure of the promise page that is measured here."""
    os.makedirs(folder, exist_ok=True)

    def write(name, row, what, target, measured, unit, good, result, note=""):
        value = {
            "row": row, "what": what, "target": target, "measured": measured, "unit": unit, "ok": bool(good),
            "command": result.get("command", ""), "version": facts["nacre"], "note": note,
        }
        with open(os.path.join(folder, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)

    for name, row, kind, limit, what in (
        ("F3", "F3", "service", 100, "acknowledgement of a change → last of 10,000 subscribers holds it, idle"),
        ("F4", "F4", "config", 500, "acknowledgement of a publish → last of 10,000 listeners has fetched the text"),
    ):
        result = results.get(f"fan-out-{kind}-10k")
        if result:
            ours = server(result)
            value = ours["last_after_acknowledged_us"]["p99"] / 1000
            note = f"{ours['changes']} changes; p50 {ours['last_after_acknowledged_us']['p50'] / 1000:.0f} ms; the subscribers share the machine's {facts['cores']} cores with the server"
            write(name, row, what, f"p99 ≤ {limit} ms", round(value, 1), "ms", value <= limit and not ours["missed"], result, note)
    if "footprint" in results:
        value = results["footprint"]["bytes_an_instance"]
        write("F13-instance", "F13", "memory of an ephemeral instance", "≤ 450 B", value, "B", value <= 450, results["footprint"])
    if result := results.get("connections"):
        step = result["steps"][-1]
        value = step["bytes_a_connection"]
        write("F13-connection", "F13", "memory of an idle gRPC connection", "≤ 12 KB", round(value / KB, 2), "KB", value <= 12 * KB, result, f"{step['connections']} connections")
        value = (result.get("listened") or {}).get("bytes_a_key")
        if value is not None:
            write("F13-key", "F13", "memory of a listened key", "≤ 100 B", round(value, 1), "B", value <= 100, result)
        value = step["idle_cpu_of_a_core"] * 100
        write("F13-idle-cpu", "F13", f"CPU with {step['connections']} idle connections", "≤ 2 % of a core", round(value, 2), "%", value <= 2, result)


HEAD = """\
# Performance

Made by `make bench` ({day}); not written by hand. {hit} rows hit, {missed} missed, {open} not measured.

Machine: {cores} cores of {cpu}, {memory}, Linux {kernel}. nacre {nacre}, {rustc}, profile `shipping`{rnacos}.

How it is measured: server, tool and what they are compared with share one machine and its cores, in turns of a few seconds in
one run, each with 64 connections unless told otherwise. A *ratio* is the median over the turns. The bare server is hyper or
tonic in a process of its own that answers the very bytes that nacre answered, without anything of Nacos, even without
timeouts. Every registration and publish in these runs is a real change (other metadata, another content). The tool takes
a good part of the machine itself, nearly all of it the kernel's network: its CPU time is in the last table, so that ratios of
servers alone can be worked out from CPU time. A durable publish of nacre is answered after an fsync; r-nacos does none. What
signals cost is measured on one server, with the doctor and its sightings and without (`nacre.doctor.enabled`, which is followed while it
runs), in turns; two servers of one binary differ by more than that for where their memory happens to lie. The journal in memory
cannot be switched off, nor the counters of metrics.

"""

LATENCY = """
## Latency and cost

Milliseconds in the closed loop; the last two columns are microseconds of CPU time an operation, of the server and of the tool.

| operation | a second | p50 | p90 | p99 | p99.9 | max | server CPU | tool CPU |
|---|---|---|---|---|---|---|---|---|
"""
