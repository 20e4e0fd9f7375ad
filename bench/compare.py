#!/usr/bin/env python3
"""Two builds of nacre side by side: what a change cost or gained, of which the tables of docs/performance.md say nothing.

    bench/compare.py OLD NEW                                 the operations of the table, eight pairs of turns each
    bench/compare.py OLD NEW "http register" --pairs 20      one operation, for longer
    bench/compare.py target/shipping/nacre target/shipping/nacre     how much two servers of one binary differ here

OLD and NEW are binaries. Both run all the time and are asked in turns, so that what a machine does besides falls on both. Shown is
how many times as much CPU time a call of NEW takes as one of OLD (geometric mean over the pairs, with its standard error), and what
both hold in memory at the end.
"""
import argparse
import math
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import page  # noqa: E402
import run  # noqa: E402
import servers  # noqa: E402


def row(name, measured):
    (cpu, cpu_error), (rate, _) = page.in_turns(measured, "cpu"), page.in_turns(measured, "rate")
    old, new = (sum(turn["cpu"] for turn in measured[which]) / len(measured[which]) for which in ("off", "on"))
    return f"{name:<22} {cpu:.3f} ± {math.sqrt(cpu_error):.3f} x the CPU time ({old:.1f} -> {new:.1f} µs), {rate:.3f} x the throughput"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("new", metavar="NEW")
    parser.add_argument("operations", nargs="*", metavar="OPERATION", help="such as 'http list'; all when none is given")
    parser.add_argument("--pairs", type=int, default=8, help="of turns, for each operation")
    parser.add_argument("--span", default="2s", help="of a turn")
    options = parser.parse_args()
    # The tool is that of NEW for both.
    bench = run.Run(binary=options.new)
    old, new = (servers.nacre(os.path.abspath(binary), bench.homes) for binary in (options.old, options.new))
    which = {"on": new, "off": old}
    with old, new:
        for server in (old, new):
            server.wait()
        rows = []
        for name in options.operations or run.SIGNALLED:
            words = [*name.split(" "), "-d", options.span]
            rows.append(row(name, run.in_pairs(options.pairs, lambda on, words=words: bench.costs(which[on], words))))
        print("\n".join(rows))
        before, after = (server.memory()["resident"] / page.MB for server in (old, new))
        print(f"{'memory afterwards':<22} {before:.1f} -> {after:.1f} MB")


if __name__ == "__main__":
    main()
