#!/usr/bin/env python3
"""Measures nacre and writes what it found: target/bench/*.json, docs/performance.md, target/promises/*.json.

    bench/run.py             everything, about half an hour after the builds
    bench/run.py --quick     the same rows in a few minutes; figures are rougher
    bench/run.py --only http one part: http, grpc, publish, fan-out, memory, core, start, overhead, instructions

Beside nacre stand a bare hyper or tonic server (in the tool itself), r-nacos when target/rnacos/bin/rnacos is there
(bench/rnacos.sh builds it), and a Java Nacos when NACOS_ADDR names one (host:port, on this machine).
"""
import argparse
import json
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, HERE)
import instructions  # noqa: E402
import page  # noqa: E402
import servers  # noqa: E402

TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
RESULTS = os.path.join(TARGET, "bench")
PARTS = ["http", "grpc", "publish", "fan-out", "memory", "core", "start", "overhead", "instructions"]

# What the signals are measured with, and builds against each other.
SIGNALLED = ["http register", "http beat", "http list", "http config-get", "http config-publish",
             "grpc register", "grpc service-query", "grpc config-query"]


def in_pairs(pairs, turn):
    """What `turn` measures "on" and "off", in pairs: what comes second in one pair comes first in the next."""
    measured = {"on": [], "off": []}
    for pair in range(pairs):
        for which in ("on", "off") if pair % 2 == 0 else ("off", "on"):
            measured[which].append(turn(which))
    return measured


class Run:
    def __init__(self, quick=False, binary=None):
        self.quick = quick
        self.binary = os.path.abspath(binary or os.path.join(TARGET, "shipping", "nacre"))
        self.rnacos = os.path.join(TARGET, "rnacos", "bin", "rnacos")
        self.java = os.environ.get("NACOS_ADDR", "")
        self.homes = os.path.join(RESULTS, "homes")
        os.makedirs(RESULTS, exist_ok=True)

    def bench(self, name, server, *words, others=()):
        """Runs `nacre bench` and keeps its JSON, if it has a name; None when it failed, with the reason on the screen."""
        against = [word for other_name, address in others for word in ("--against", f"{other_name}={address}")]
        shown = ["nacre", "bench", *words, *against]
        print("  " + " ".join(shown), flush=True)
        command = [self.binary, "-s", f"http://{server}", "bench", *words, *against, "--json"]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            print("    took too long and was stopped")
            return None
        if done.returncode:
            print("    failed: " + done.stderr.decode(errors="replace").strip())
            return None
        result = json.loads(done.stdout)
        result["command"] = " ".join(shown)
        if name:
            self.keep(name, result)
        return result

    def keep(self, name, result):
        result["measured_at"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        with open(os.path.join(RESULTS, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)

    def nacre(self, **more):
        server = servers.nacre(self.binary, self.homes, **more)
        server.wait()
        return server

    def others(self):
        """The servers beside nacre: those to stop, and (name, address) of all."""
        started, named = [], []
        if os.path.exists(self.rnacos):
            # It loses a race with itself at some starts, and then acknowledges what it never shows: start it again.
            for _ in range(6):
                server = servers.rnacos(self.rnacos, self.homes)
                try:
                    server.wait(want=server.want)
                    server.settle(5)
                    started.append(server)
                    named.append(("r-nacos", server.address))
                    break
                except RuntimeError as error:
                    server.stop()
                    print(f"  r-nacos is started again: {error}")
        else:
            print("  r-nacos is not there (bench/rnacos.sh builds it)")
        if self.java:
            named.append(("java-nacos", self.java))
        return started, named

    def alternating(self, names, seconds, *words):
        """Operations on nacre, a bare server and the others, in turns. Others that cannot do it are left out."""
        span = "2500ms" if self.quick else seconds
        rounds = "5" if self.quick else "7"
        started, others = self.others()
        with self.nacre() as nacre:
            try:
                for name in names:
                    kind, operation = name.split(" ")
                    arguments = [kind, operation, "-d", span, "--rounds", rounds, "--baseline", *words]
                    file = f"{kind}-{operation}"
                    if not self.bench(file, nacre.address, *arguments, others=others) and others:
                        self.bench(file, nacre.address, *arguments)
            finally:
                for server in started:
                    server.stop()

    def http(self):
        self.alternating(["http config-get", "http list", "http beat", "http register", "http deregister"], "14s")

    def grpc(self):
        self.alternating(["grpc config-query", "grpc service-query", "grpc register"], "14s")

    def publish(self):
        """Durable publishing, from few clients to many: batches grow with what waits."""
        started, others = self.others()
        with self.nacre() as nacre:
            try:
                for clients in (1, 16, 64, 256):
                    with_others = others if clients == 64 else ()
                    span = "2s" if self.quick else "8s"
                    words = ["http", "config-publish", "-c", str(clients), "-d", span]
                    name = f"publish-{clients}"
                    if not self.bench(name, nacre.address, *words, others=with_others) and with_others:
                        self.bench(name, nacre.address, *words)
            finally:
                for server in started:
                    server.stop()

    def fan_out(self):
        changes = "10" if self.quick else "40"
        started, others = self.others()
        with self.nacre() as nacre:
            try:
                for kind in ("service", "config", "long-poll"):
                    words = ["fan-out", kind, "--subscribers", "1000", "--changes", changes]
                    if not self.bench(f"fan-out-{kind}", nacre.address, *words, others=others) and others:
                        self.bench(f"fan-out-{kind}", nacre.address, *words)
            finally:
                for server in started:
                    server.stop()
        with self.nacre() as nacre:
            for kind in ("service", "config"):
                words = ["fan-out", kind, "--subscribers", "10000", "--changes", "5" if self.quick else "20", "--pause", "1500ms"]
                self.bench(f"fan-out-{kind}-10k", nacre.address, *words)

    def memory(self):
        with self.nacre() as nacre:
            time.sleep(1)
            self.keep("idle", {"memory": nacre.memory(), "command": "nacre server"})
            steps = "1k,5k" if self.quick else "1k,5k,10k"
            self.bench("connections", nacre.address, "connections", "--steps", steps, "--listen", "50")
        with self.nacre() as nacre:
            sizes = "1k,100k" if self.quick else "1k,10k,100k,1m"
            self.bench("registry", nacre.address, "registry", "--sizes", sizes)
        count = 20_000 if self.quick else 100_000
        with self.nacre() as nacre:
            words = ["http", "config-publish", "--count", str(count), "--keys", str(count), "-c", "64", "--keep"]
            result = self.bench("configs", nacre.address, *words)
            time.sleep(3)
            if result:
                result["count"] = count
                result["settled"] = nacre.memory()
                self.keep("configs", result)
            self.restart_with(nacre, count)

    def restart_with(self, nacre, count):
        """How long a start takes with what is there now."""
        nacre.stop(keep=True)
        spans = []
        for _ in range(3 if self.quick else 7):
            again = servers.nacre(self.binary, self.homes, where=nacre.home)
            path = f"/nacos/v1/cs/configs?dataId=nacre-bench-{count - 1:08}&group=NACRE_BENCH"
            spans.append(again.wait(path=path))
            again.stop(keep=True)
        self.keep("start-configs", {"configs": count, "seconds": spans, "command": "nacre server, until the last config is read"})

    def start(self):
        spans = []
        for _ in range(5 if self.quick else 15):
            with servers.nacre(self.binary, self.homes) as server:
                spans.append(server.wait())
        self.keep("start-empty", {"seconds": spans, "command": "nacre server, until a request is answered with 200"})
        self.keep("binary", {"bytes": os.path.getsize(self.binary), "command": "cargo build --profile shipping -p nacre-cli"})

    def overhead(self):
        """What the signals cost (doctor and sightings): one server with them and without, in turns. Two servers would not do:
        of one binary, with the same settings, one does a tenth more than the other for where its memory happens to lie."""
        # Many short turns: a machine is slower for a while now and then, and two neighbours are so together.
        span, pairs = ("3s", 6) if self.quick else ("3s", 14)
        with self.nacre() as nacre:
            for name in SIGNALLED:
                self.both_ways(nacre, name, span, pairs)

    def both_ways(self, nacre, name, span, pairs):
        words = [*name.split(" "), "-d", span]
        self.with_and_without("signals-" + name.replace(" ", "-"), nacre, pairs, lambda: self.costs(nacre, words), words)

    def with_and_without(self, file, nacre, pairs, measure, words):
        """What is measured with the signals and without."""
        def turn(which):
            nacre.signals(which == "on")
            return measure()

        try:
            self.keep(file, {**in_pairs(pairs, turn), "command": "nacre bench " + " ".join(words)})
        except RuntimeError as error:
            print(f"    {file} is left out: {error}")

    def costs(self, nacre, words):
        """A second's calls and the CPU time of one."""
        target = page.server(self.need(nacre, *words))
        return {"rate": target["rate"], "cpu": target["cpu_us_each"]}

    def need(self, nacre, *words):
        """Like `bench`, of what nothing can be done without."""
        result = self.bench(None, nacre.address, *words)
        if result is None:
            raise RuntimeError(f"nacre bench {' '.join(words)} failed")
        return result

    def instructions(self):
        """The same in instructions, which a busy machine does not change."""
        if not instructions.available():
            print("  valgrind is not there (apt-get install valgrind)")
            return
        calls, pairs = (1000, 2) if self.quick else (2000, 4)
        with self.nacre(wrap=instructions.wrap) as nacre:
            # What is done once is done before it counts.
            for name in SIGNALLED:
                self.need(nacre, *self.few(name, 200))
            for name in SIGNALLED:
                def measure(name=name):
                    idle = instructions.at_rest(nacre)
                    return {"instructions": instructions.a_call(nacre, lambda count: self.need(nacre, *self.few(name, count)), idle, calls)}

                self.with_and_without("instructions-" + name.replace(" ", "-"), nacre, pairs, measure, self.few(name, calls))

    def few(self, name, calls):
        """So many calls on so few subjects (ten instances for a key) that however many calls make and remove the same ones."""
        return [*name.split(" "), "--count", str(calls), "--keys", "20", "-c", str(instructions.CONNECTIONS)]

    def core(self):
        """The naming core in process."""
        words = ["run", "--release", "--locked", "-q", "-p", "nacre-naming", "--example"]
        examples = {
            "million": ["100000", "5"] if self.quick else ["1000000", "20"],
            "footprint": ["100000", "1000"] if self.quick else ["1000000", "10000"],
        }
        for name, arguments in examples.items():
            command = ["cargo", *words, name, "--", *arguments]
            print("  " + " ".join(command), flush=True)
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
            if done.returncode:
                print(f"    failed with {done.returncode}")
                continue
            text = done.stdout.decode()
            result = json.loads(text) if name == "million" else page.footprint(text)
            self.keep(name, {**result, "command": " ".join(command)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be given many times")
    parser.add_argument("--binary", help="measure this binary instead of target/shipping/nacre")
    parser.add_argument("--no-page", action="store_true", help="leave docs/performance.md as it is")
    arguments = parser.parse_args()
    run = Run(arguments.quick, arguments.binary)
    if not os.path.exists(run.binary):
        sys.exit(f"{run.binary} is not there: cargo build --profile shipping --locked -p nacre-cli")
    begun = time.monotonic()
    for part in arguments.only or PARTS:
        print(f"== {part}", flush=True)
        getattr(run, part.replace("-", "_"))()
    facts = page.machine(run.binary, ROOT)
    results = page.load(RESULTS)
    page.promises(results, facts, os.path.join(TARGET, "promises"))
    if not arguments.no_page:
        with open(os.path.join(ROOT, "docs", "performance.md"), "w", encoding="utf-8") as file:
            file.write(page.render(results, facts))
    rows = page.rows(results)
    for row in rows:
        print(f"{row.verdict:<8} {row.what}: {row.measured}  ({row.target})")
    missed = sum(row.verdict == "missed" for row in rows)
    print(f"{len(rows)} rows, {missed} missed, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
