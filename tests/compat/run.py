#!/usr/bin/env python3
"""Runs unmodified official SDKs against a built nacre. Needs Python 3.9 or newer and the toolchain of each SDK.

    tests/compat/run.py                          all SDKs against target/debug/nacre
    tests/compat/run.py --client go --client rust
    CLIENT=java-2.x tests/compat/run.py          a name, or what several begin with (java-2.2 and java-2.5)
    tests/compat/run.py --write-docs             the table of docs/compatibility.md from the last result

The result is target/compat/result.json, one row per SDK and behaviour. A missing toolchain is a failure, never a skip.
"""

import sys

from suite.main import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
