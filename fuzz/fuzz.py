#!/usr/bin/env python3
"""Runs the fuzz targets by libFuzzer: builds them, gives each its time, says what was found.

    make fuzz                        every target, 600 s of processor time each, one a core
    make fuzz TARGET=beat TIME=60    one of them
    python3 fuzz/fuzz.py --keep      takes what was reached into the committed corpora, minimised

Results: target/fuzz/results.json, with executions and findings of each target. Inputs that end in a failure are kept below
target/fuzz/found and shown with the command that repeats them. Last line: "N passed, N failed".
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import corpus

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "fuzz"
# Callers' text may name addresses that the server then probes: these run where there is nothing but the loopback device.
ALONE = {"http_request", "grpc_call", "socket"}
# A unit that takes this many seconds is a finding.
SLOW = 25
# Seconds for the figures at its end.
LAST_WORDS = 60
MEMORY_MB = 2048
LONGEST = {"import_zip": 16384, "snapshot_file": 256, "log_files": 256, "naming_history": 1024, "config_history": 1024}


def targets():
    return sorted(path.stem for path in (ROOT / "fuzz" / "fuzz_targets").glob("*.rs"))


def cargo_fuzz():
    """The program, installed below target/ when there is none."""
    found = shutil.which("cargo-fuzz")
    if found:
        return found
    own = WORK / "tools" / "bin" / "cargo-fuzz"
    if not own.exists():
        subprocess.run(["cargo", "install", "--quiet", "--locked", "--root", WORK / "tools", "cargo-fuzz"], check=True)
    return str(own)


def build(names):
    """nacre has no unsafe code, so an address sanitizer would cost much and see little; without one, stable Rust will do."""
    only = names if len(names) == 1 else []
    command = [cargo_fuzz(), "build", "--sanitizer", "none", "--target-dir", WORK / "build", *only]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "RUSTC_BOOTSTRAP": "1"})
    host = re.search(r"host: (\S+)", subprocess.run(["rustc", "-vV"], capture_output=True, text=True).stdout)
    return WORK / "build" / host.group(1) / "release"


def alone(command):
    return ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def shielded(name, command):
    if name not in ALONE:
        return command
    if subprocess.run(alone(["true"]), capture_output=True).returncode:
        raise SystemExit(f"{name} needs a network namespace of its own (unshare -rn), which is not allowed here")
    return alone(command)


def processor_time(pid):
    """Seconds of processor time that a process took so far; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def call(name, binary, arguments, log, seconds=None):
    """Runs a target, until it had its processor time if that is given: (exit code, log, processor time).

    Time on the clock would say little on a machine that does other things too."""
    # In memory where possible: what a disk does is the business of tests/torture.
    memory = pathlib.Path("/dev/shm")
    scratch = (memory if os.access(memory, os.W_OK) else WORK) / f"nacre-fuzz-{name}-{os.getpid()}"
    scratch.mkdir(parents=True)
    command = shielded(name, [str(binary / name), f"-rss_limit_mb={MEMORY_MB}", f"-timeout={SLOW}", *arguments])
    environment = {**os.environ, "TMPDIR": str(scratch)}
    if name in ALONE:
        environment["NACRE_FUZZ_ALONE"] = "1"
    taken, stopped = 0, None
    with open(log, "wb") as out:
        # nice, unshare and sh all end in exec: the process is the target's.
        child = subprocess.Popen(["nice", "-n", "19", *command], stdout=out, stderr=out, cwd=WORK, env=environment)
        while child.poll() is None:
            taken = processor_time(child.pid) or taken
            if stopped is not None:
                # Its signal handlers allocate, and one that met an allocation waits for itself.
                if time.monotonic() - stopped > LAST_WORDS:
                    child.kill()
            elif seconds is not None and taken >= seconds:
                # libFuzzer says its figures and ends.
                child.send_signal(signal.SIGINT)
                stopped = time.monotonic()
            time.sleep(0.2)
    shutil.rmtree(scratch, ignore_errors=True)
    return 0 if stopped is not None else child.returncode, log.read_text(errors="replace"), taken


def unpack(name):
    """The committed corpus as the folder that libFuzzer wants."""
    folder = WORK / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    kept, others = corpus.load(name)
    for data in [data for _, data in kept] + others:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    return folder


def fuzz(name, binary, seconds):
    folder, found = unpack(name), WORK / "found" / name
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True)
    arguments = [f"-max_len={LONGEST.get(name, 4096)}", "-print_final_stats=1", f"-artifact_prefix={found}/", str(folder)]
    code, log, taken = call(name, binary, arguments, WORK / f"{name}.log", seconds)
    executed = re.findall(r"stat::number_of_executed_units:\s*(\d+)", log) or re.findall(r"^#(\d+)\s", log, re.M)
    coverage = re.findall(r"cov: (\d+)", log)
    failed = [path for path in found.iterdir() if not path.name.startswith("slow-unit")]
    result = {
        "target": name,
        "seconds": round(taken),
        "executions": int(executed[-1]) if executed else 0,
        "coverage": int(coverage[-1]) if coverage else 0,
        "findings": [corpus.escape(path.read_bytes()) for path in failed],
    }
    if code and not failed:
        result["findings"].append(f"ended with exit code {code}; see {WORK / name}.log")
    for path in failed:
        print(f"  {name}: {path.name}: {corpus.escape(path.read_bytes())[:200]}\n    repeat: {binary / name} {path}")
    return result


def keep(name, binary):
    """Merges what was reached into the committed corpus: the smallest inputs that reach the same."""
    merged = WORK / "merged" / name
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    call(name, binary, ["-merge=1", f"-max_len={LONGEST.get(name, 4096)}", str(merged), str(unpack(name))],
         WORK / f"{name}.merge.log")
    inputs = [path.read_bytes() for path in merged.iterdir()]
    kept, before = corpus.load(name)
    if len(inputs) >= 1:
        corpus.save(name, kept, inputs)
    print(f"{name}: {len(before)} inputs before, {len(corpus.load(name)[1])} now, of {len(inputs)}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("target", nargs="*")
    options.add_argument("--time", type=int, default=600, metavar="SECONDS", help="of processor time, for each")
    options.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at the same time")
    options.add_argument("--keep", action="store_true", help="minimise what was reached into fuzz/corpus; fuzzes nothing")
    options.add_argument("--built", action="store_true", help="the binaries are there already")
    given = options.parse_args()
    names = given.target or targets()
    for name in names:
        if name not in targets():
            raise SystemExit(f"no target named {name}: {', '.join(targets())}")
    WORK.mkdir(parents=True, exist_ok=True)
    host = WORK / "build" / "x86_64-unknown-linux-gnu" / "release"
    binary = host if given.built and host.exists() else build(names)
    if given.keep:
        for name in names:
            keep(name, binary)
        return 0
    path, writing = WORK / "results.json", threading.Lock()

    def one(name):
        result = fuzz(name, binary, given.time)
        print(f"{name}: {result['executions']} executions in {result['seconds']} s, {len(result['findings'])} findings",
              flush=True)
        with writing:
            results = json.loads(path.read_text()) if path.exists() else {}
            results[name] = result
            path.write_text(json.dumps(results, indent=1, sort_keys=True))
        return not result["findings"] and result["executions"] > 0

    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        good = list(pool.map(one, names))
    passed, failed = good.count(True), good.count(False)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
