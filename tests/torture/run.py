#!/usr/bin/env python3
"""Hurts a nacre process and looks whether it keeps what it promised. Needs Python 3.9 and nothing else.

    run.py torture [--cycles 1000] [--cuts 200]   kill -9 and power cuts under load, torn tails, flipped bytes
    run.py watch [--rounds 200]                   lost, duplicated, reordered events over reconnects
    run.py soak [--seconds 900]                   a thousand clients come and go: nothing leaks, nobody is lost
    run.py detection                              a dead client is out of its subscribers' lists after how long
    run.py recovery                               restart with 100,000 configs: ready and right after how long
    run.py promises                               docs/promises.md from the results
    run.py faults [--long] [--only NAME]          full, read-only, failing and slow disk, stalls, clock jumps

The binary is target/debug/nacre (--binary). Results are target/promises/*.json; the last line is "N passed, N failed".
README.md tells what each part does and what it needs.
"""
import argparse
import os
import random
import sys
import tempfile

sys.dont_write_bytecode = True
from rack import disk  # noqa: E402
from rack import faults as machine  # noqa: E402
from rack import promises as page  # noqa: E402
from rack import detection, recovery, results, soak, watch  # noqa: E402
from rack.damage import WAYS  # noqa: E402
from rack.kills import Torture  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")


def torture(options):
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    checks, failed, done = 0, 0, {}
    for name, cycles in (("kills", options.cycles), ("cuts", options.cuts)):
        if not cycles:
            continue
        print(f"torture: {cycles} {name}, seed {seed}", flush=True)
        outcome = tortured(options, name == "cuts", cycles, seed)
        if not options.ways:
            results.write(name, outcome)
        damages = sum(sum(done.values()) for done in outcome["damage"].values())
        print(f"torture: {outcome['acknowledged']} writes acknowledged, {outcome['cycles']} {name}, {damages} damaged "
              f"starts, {outcome['lost']} complaints, {outcome['seconds']} s", flush=True)
        checks, failed = checks + outcome["cycles"] + damages, failed + outcome["lost"]
        done[name] = outcome
    # Short forms leave the page alone.
    if len(done) == 2 and not options.ways and options.cycles >= 500:
        promise_kept(options, done["kills"], done["cuts"])
    return checks, failed


def promise_kept(options, kills, cuts):
    written = kills["acknowledged"] + cuts["acknowledged"]
    damages = sum(sum(done.values()) for done in kills["damage"].values())
    results.promise(
        "F1", "", "0", f"{kills['lost'] + cuts['lost']} of {written:,}", "", kills["lost"] + cuts["lost"] == 0,
        "make torture", options.binary, f"measured over {kills['cycles']} kills, {cuts['cycles']} power cuts and {damages} "
        "starts on damaged files, each of which was refused by name or served everything")


def tortured(options, cuts, cycles, seed):
    with tempfile.TemporaryDirectory(prefix="nacre-torture-") as directory:
        if not cuts:
            return Torture(options.binary, cycles, seed, directory, options.damage_every, options.damages,
                           options.ways, limit=options.limit).run()
        at, image = os.path.join(directory, "disk"), os.path.join(directory, "image")
        with disk.Fragile(at, image, 1024) as fragile:
            return Torture(options.binary, cycles, seed, directory, 0, fragile=fragile, limit=options.limit).run()


def faults(options):
    print("faults of the machine:", flush=True)
    done = list(machine.run(options.binary, options.only, options.long, options.jobs))
    if not options.only:
        results.write("faults", done)
        false_expiry(options.binary)
    return len(done), sum(not one["ok"] for one in done)


def watched(options):
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"watch: {options.rounds} rounds and {options.storm} s of storm, seed {seed}", flush=True)
    outcome = watch.run(options.binary, seed, options.rounds, options.storm, options.subscribers)
    results.write("watch", outcome)
    for complaint in outcome["complaints"]:
        print(f"  ! {complaint}")
    print(f"watch: {outcome['changes']} changes, {outcome['reconnects']} connections cut, {outcome['kills']} kills; "
          f"{outcome['deliveries']} deliveries counted; lost {outcome['lost']}, duplicated {outcome['duplicated']}, "
          f"reordered {outcome['reordered']}; {outcome['seconds']} s")
    wrong = outcome["lost"] + outcome["duplicated"] + outcome["reordered"]
    if outcome["rounds"] >= 100:
        results.promise(
            "F9", "", "0", f"{outcome['lost']} lost, {outcome['duplicated']} duplicated, {outcome['reordered']} reordered", "",
            wrong == 0, "make watch", options.binary,
            f"measured: {outcome['subscribers']} subscribers of configs, services and fuzzy watches, {outcome['changes']} changes, "
            f"{outcome['deliveries']:,} deliveries counted, {outcome['reconnects']} connections cut, {outcome['kills']} kills")
    return outcome["changes"], outcome["lost"] + outcome["duplicated"] + outcome["reordered"] + outcome["refused"]


def recovered(options):
    print(f"recovery: {options.configs} configs, {options.instances} persistent instances", flush=True)
    outcome = recovery.run(options.binary, options.configs, options.instances, options.seed or 0, print)
    results.write("recovery", outcome)
    slowest = max(outcome["afterKill"], outcome["afterStop"])
    if options.configs >= recovery.CONFIGS:
        results.promise("F10", "", "≤ 10 s", f"{outcome['afterKill']:.1f} after kill -9, {outcome['afterStop']:.1f} after a stop",
                        "s", slowest <= 10, "tests/torture/run.py --binary target/release/nacre recovery", options.binary,
                        f"measured with {outcome['afterKillCpu']:.1f} and {outcome['afterStopCpu']:.1f} s of a core")
    print(f"recovery: {outcome['afterKill']} s after kill -9, {outcome['afterStop']} s after a stop; right are "
          f"{outcome['checked']} of {outcome['checked']}")
    return 2, 0


def detected(options):
    outcome = detection.run(options.binary, options.times)
    results.write("detection", outcome)
    limits = {"killed": 0.5, "silent": 1.0, "cut": 20.0}
    said = {"killed": "after kill -9", "silent": "after the timeout of beats", "cut": "after a cut"}
    failed = [what for what, limit in limits.items() if outcome[what]["worst"] > limit]
    text = ", ".join(f"{outcome[what]['worst']:.2f} s {said[what]}" for what in limits)
    print(f"detection: out of a subscriber's list at the latest {text}")
    results.promise("F8", "", "≤ 0.5 s, ≤ 1 s, ≤ 20 s", text, "", not failed, "tests/torture/run.py detection", options.binary,
                    f"the worst of {outcome['killed']['times']}, {outcome['silent']['times']} and {outcome['cut']['times']}")
    return len(limits), len(failed)


def promises(_):
    print(f"written: {page.write()}")
    return 1, 0


def soaked(options):
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"soak: {options.clients} clients, {options.seconds:.0f} s, seed {seed}", flush=True)
    outcome = soak.run(options.binary, options.seconds, options.clients, seed, options.sdks, options.healthy)
    results.write("soak-healthy" if options.healthy else "soak", outcome)
    for complaint in outcome["complaints"]:
        print(f"  ! {complaint}")
    used = ", ".join(f"{what} {outcome[what]['first'] / unit:.0f} -> {outcome[what]['last'] / unit:.0f}"
                     for what, unit in (("memory", 1 << 20), ("files", 1), ("threads", 1), ("tasks", 1))
                     if what in outcome)
    print(f"soak: {outcome['deployed']} deployments ({outcome['redeployed']} good-byes, {outcome['crashed']} crashes, "
          f"{outcome['silent']} silent, {outcome['sdkLives']} of SDKs), {outcome['beats']} beats, {outcome['pushes']} "
          f"pushes, {outcome['configChanges']} config changes; {used}; false expiries {outcome['falseExpiries']}")
    if options.healthy:
        print(f"soak: false findings {len(outcome['falseFindings'])} {sorted(set(outcome['falseFindings']))}")
    if outcome["seconds"] >= 600 and options.healthy:
        hours = sum(sample["alive"] for sample in outcome["samples"]) * soak.SAMPLE / 3600
        false = len(outcome["falseFindings"])
        results.promise("F14", "False findings of warning or worse in a healthy system", "0", false, "", false == 0, "make soak ARGS=--healthy", options.binary,
                        f"{hours:,.0f} instance-hours of {outcome['deployed']:,} deployments, nobody dying in silence; {outcome['restarts']} restart", "healthy")
    else:
        false_expiry(options.binary)
    return outcome["deployed"], len(outcome["complaints"])


def false_expiry(binary):
    """The row F7: of the last soak and of the last stalls, once both were done at length."""
    soaked, stalls = results.read("soak"), [one for one in results.read("faults") or [] if "stall" in one["test"]]
    if not soaked or soaked["seconds"] < 600 or len(stalls) < 2:
        return
    bad = soaked["falseExpiries"] + sum(not one["ok"] for one in stalls)
    hours = sum(sample["alive"] for sample in soaked["samples"]) * soak.SAMPLE / 3600
    results.promise(
        "F7", "", "0", bad, "", bad == 0, "make soak faults", binary,
        f"measured: {hours:,.0f} instance-hours of {soaked['deployed']:,} deployments, half of them beats; both stalls")


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(TARGET, "debug", "nacre"))
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("torture")
    one.add_argument("--cycles", type=int, default=1000)
    one.add_argument("--cuts", type=int, default=200, help="power cuts, on a disk of their own (root)")
    one.add_argument("--seed", type=int, help="of the writes, moments and damages; printed when it is drawn")
    one.add_argument("--limit", type=float, metavar="SECONDS", help="of kills and of cuts; the result says how many it were")
    one.add_argument("--damage-every", type=int, default=10, help="cycles between two rounds of damage")
    one.add_argument("--damages", type=int, default=3, help="damaged starts in a round")
    one.add_argument("--ways", type=lambda text: text.split(","), default=[], help=f"only these: {', '.join(WAYS)}")
    one.set_defaults(run=torture)
    one = parts.add_parser("faults")
    one.add_argument("--only", action="append", default=[], help="part of a test's name; may be repeated")
    one.add_argument("--long", action="store_true", help="with a stall of 30 s")
    one.add_argument("--jobs", type=int, default=4, help="tests at a time")
    one.set_defaults(run=faults)
    one = parts.add_parser("watch")
    one.add_argument("--rounds", type=int, default=200, help="changes of each kind, one after the other")
    one.add_argument("--storm", type=float, default=30, metavar="SECONDS", help="of changes without a pause")
    one.add_argument("--subscribers", type=int, default=20, help="of each module")
    one.add_argument("--seed", type=int)
    one.set_defaults(run=watched)
    one = parts.add_parser("recovery")
    one.add_argument("--configs", type=int, default=recovery.CONFIGS)
    one.add_argument("--instances", type=int, default=recovery.INSTANCES)
    one.add_argument("--seed", type=int)
    one.set_defaults(run=recovered)
    one = parts.add_parser("detection")
    one.add_argument("--times", type=int, default=20, help="processes killed, and beats that cease")
    one.set_defaults(run=detected)
    one = parts.add_parser("promises")
    one.set_defaults(run=promises)
    one = parts.add_parser("soak")
    one.add_argument("--seconds", type=float, default=900)
    one.add_argument("--clients", type=int, default=1000)
    one.add_argument("--sdks", type=lambda text: [name for name in text.split(",") if name], default=list(soak.SDKS),
                     help="clients of tests/compat that live beside ours; '' for none")
    one.add_argument("--seed", type=int)
    one.add_argument("--healthy", action="store_true", help="nobody dies in silence, and the doctor has nothing to say")
    one.set_defaults(run=soaked)
    options = parser.parse_args(words)
    try:
        if options.part == "faults" or options.part == "torture" and options.cuts:
            disk.alone(__file__, sys.argv[1:] if words is None else words)
        checks, failed = options.run(options)
    except disk.Unfit as error:
        print(f"this machine cannot do it: {error}")
        checks, failed = 0, 1
    print(f"{max(checks - failed, 0)} passed, {failed} failed")
    return 1 if failed or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
