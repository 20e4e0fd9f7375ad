#!/usr/bin/env python3
"""Runs the tests of the tools themselves (test_*.py below tests/ and tools/) and ends with "N passed, N failed"."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    suite = unittest.TestSuite()
    for folder in (ROOT / "tools", ROOT / "bench", *(ROOT / "tests" / suite for suite in ("golden", "compat", "torture"))):
        # A loader each: the folders are not packages, and a loader remembers where it began.
        suite.addTests(unittest.TestLoader().discover(str(folder), pattern="test_*.py", top_level_dir=str(folder)))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    return 1 if bad or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())
