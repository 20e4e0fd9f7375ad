#!/usr/bin/env python3
"""Hurts a nacre process and looks whether it keeps what it promised. Needs Python 3.9 and nothing else.

    run.py torture [--cycles 1000] [--seed N]     kill -9 under load, torn tails, flipped bytes

The binary is target/debug/nacre (--binary). Results are target/promises/*.json; the last line is "N passed, N failed".
README.md tells what each part does and what it needs.
"""
import argparse
import os
import random
import sys
import tempfile

sys.dont_write_bytecode = True
from rack import results  # noqa: E402
from rack.damage import WAYS  # noqa: E402
from rack.kills import Torture  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")


def torture(options):
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"torture: {options.cycles} kills, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="nacre-torture-") as directory:
        run = Torture(options.binary, options.cycles, seed, directory, options.damage_every, options.damages,
                      options.ways)
        outcome = run.run()
    results.write("torture", outcome)
    damages = sum(sum(done.values()) for done in outcome["damage"].values())
    print(f"torture: {outcome['acknowledged']} writes acknowledged, {outcome['cycles']} kills, {damages} damaged starts, "
          f"{outcome['lost']} complaints, {outcome['seconds']} s")
    return outcome["cycles"] + damages, outcome["lost"]


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(TARGET, "debug", "nacre"))
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("torture")
    one.add_argument("--cycles", type=int, default=1000)
    one.add_argument("--seed", type=int, help="of the writes, moments and damages; printed when it is drawn")
    one.add_argument("--damage-every", type=int, default=10, help="cycles between two rounds of damage")
    one.add_argument("--damages", type=int, default=3, help="damaged starts in a round")
    one.add_argument("--ways", type=lambda text: text.split(","), default=[], help=f"only these: {', '.join(WAYS)}")
    one.set_defaults(run=torture)
    options = parser.parse_args(words)
    checks, failed = options.run(options)
    print(f"{max(checks - failed, 0)} passed, {failed} failed")
    return 1 if failed or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
