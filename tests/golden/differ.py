#!/usr/bin/env python3
"""Asks a real Nacos and nacre the same, which nobody recorded before, and shows where they part.

  differ.py --reference http://127.0.0.1:18848 --label nacos-2.5.1 --only 'config/v[12]-*'
  differ.py --reference http://127.0.0.1:28848 --console http://127.0.0.1:28080 --label nacos-3.1.0 --only '*/v3-*' --seed 7
  differ.py --reference http://127.0.0.1:28848 --label nacos-3.1.0 --stories 20     gRPC, several connections

The reference is a server that you started, on loopback and without authentication; its label says whose recordings decide
(2.5.1 for v1 and v2, 3.1.0 for v3 and gRPC). HTTP: the scenarios with variations behind each step (`mutations.py`). gRPC:
random stories of several connections (`stories.py`). The same --seed asks the same again. Later steps differ because an
earlier one did, so the first difference of each scenario is what to look at; --all shows them all. Everything that was
asked and answered is kept below target/golden/differ. Last line: "N passed, N failed" (steps or stories).
"""
import argparse
import fnmatch
import glob
import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import mutations  # noqa: E402
import server  # noqa: E402
import stories  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
# They change or show what is the whole server's, or last for minutes.
LEFT_OUT = ["*/v1-operator", "*/v2-operator", "*/0-first-admin", "*/actuator", "*/prometheus-discovery", "*/stock-3x-*",
            "*/v1-long-poll", "ai/*", "auth/*"]


def arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", required=True, metavar="URL", help="a real Nacos, such as http://127.0.0.1:18848")
    parser.add_argument("--console", metavar="URL", help="its console, where that is another port (3.x)")
    parser.add_argument("--label", required=True, help="what it is: nacos-2.5.1, nacos-3.1.0")
    parser.add_argument("--binary", default=os.path.join(TARGET, "debug", "nacre"), help="default: target/debug/nacre")
    parser.add_argument("--only", default="*", metavar="GLOB", help="scenarios, area/name")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--variations", type=int, default=3, help="behind each step")
    parser.add_argument("--stories", type=int, default=0, metavar="N", help="gRPC instead: so many of each kind")
    parser.add_argument("--kinds", default=",".join(stories.KINDS), help="of stories")
    parser.add_argument("--all", action="store_true", help="every difference, not the first of each scenario")
    return parser.parse_args(words)


def write(folder, name, scenario):
    path = os.path.join(folder, name + ".json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(scenario, file, ensure_ascii=False)


def make(options, folder):
    """Writes the scenarios; their number."""
    made = 0
    if options.stories:
        for kind in options.kinds.split(","):
            for number in range(options.stories):
                name = f"{kind}/{options.seed}-{number}"
                write(folder, name, stories.story(kind, f"{options.seed} {name}"))
                made += 1
        return made
    scenarios = os.path.join(HERE, "scenarios")
    for path in sorted(glob.glob(os.path.join(scenarios, "*", "*.json"))):
        name = os.path.relpath(path, scenarios)[:-len(".json")]
        if not fnmatch.fnmatch(name, options.only) or any(fnmatch.fnmatch(name, left) for left in LEFT_OUT):
            continue
        with open(path, encoding="utf-8") as file:
            write(folder, name, mutations.mutated(json.load(file), name, options.seed, options.variations))
        made += 1
    shutil.copy(os.path.join(scenarios, "common.json"), folder)
    return made


def player(options):
    """The recorder and player of the protocol, as words of a command."""
    if options.stories:
        return [server.grpc_python(TARGET), os.path.join(HERE, "golden_grpc.py")]
    return [sys.executable, os.path.join(HERE, "golden.py")]


def called(words, log):
    with open(log, "wb") as out:
        return subprocess.run(words, stdout=out, stderr=subprocess.STDOUT, check=False).returncode


def console(options):
    return ["--console", options.console] if options.console and not options.stories else []


def told(result, options):
    """Prints what differs; how many steps or stories agree, and how many do not."""
    same = other = 0
    for scenario in result["scenarios"]:
        if options.stories:
            differences = scenario["differences"]
            texts = [f"step {one['step']} ({one['what']}): {one['difference']}" for one in differences]
            same, other = same + (not differences), other + bool(differences)
        else:
            bad = [step for step in scenario["steps"] if not step["ok"]]
            texts = [f"{step['id']}: {'; '.join(step['differences'][:3])}" for step in bad]
            same, other = same + len(scenario["steps"]) - len(bad), other + len(bad)
        if texts:
            print(f"{scenario['scenario']}: {len(texts)} differences")
            for text in texts if options.all else texts[:1]:
                print("    " + text[:600])
    return same, other


def main():
    options = arguments()
    folder = os.path.join(TARGET, "golden", "differ", options.label + ("-grpc" if options.stories else ""))
    shutil.rmtree(folder, ignore_errors=True)
    scenarios, recorded, result = (os.path.join(folder, name) for name in ("scenarios", "recorded", "result.json"))
    os.makedirs(scenarios)
    made, words = make(options, scenarios), player(options)
    if not made:
        raise SystemExit(f"no scenario fits {options.only}")
    print(f"asking {options.reference}: {made} {'stories' if options.stories else 'scenarios'}, seed {options.seed}", flush=True)
    called([*words, "record", "--server", options.reference, *console(options), "--label", options.label, "--out", recorded,
            scenarios], os.path.join(folder, "record.log"))
    subject = server.Server(options.binary, os.path.join(folder, "server.log"))
    try:
        url = subject.start()
        print("asking nacre", flush=True)
        without = ["--without", "lock,mcp"] if options.stories else []
        called([*words, "replay", "--server", url, "--scenarios", scenarios, "--json", result, *without,
                os.path.join(recorded, options.label)], os.path.join(folder, "replay.log"))
    finally:
        ended = subject.stop()
    if not os.path.exists(result):
        raise SystemExit(f"nothing was compared: {folder}/record.log and replay.log say why")
    with open(result, encoding="utf-8") as file:
        passed, failed = told(json.load(file), options)
    for check, good, detail in ended:
        if not good:
            print(f"the server: {check}: {detail}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
