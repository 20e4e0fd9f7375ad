#!/usr/bin/env python3
"""Injects faults for real and asks the doctor: the finding's code, subject and evidence, how long it took, that nothing else
of its severity is claimed, and that it clears. Writes target/doctor/result.json and docs/diagnosis.md (--docs).

  tests/doctor/run.py [NAME...]     only cases whose name or code begins so
"""

import argparse
import concurrent.futures
import importlib
import json
import os
import pathlib
import pkgutil
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "torture")]

import faults  # noqa: E402
from stand import CASES, WITHIN, Stand  # noqa: E402

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# Servers at the same time: they mostly wait.
AT_ONCE = 8


def load():
    for module in pkgutil.iter_modules(faults.__path__):
        importlib.import_module(f"faults.{module.name}")
    return sorted(CASES, key=lambda case: (case.family, case.code, case.name))


def run(case, binary):
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nacre-doctor-", ignore_cleanup_errors=True) as home:
        stand = Stand(case, binary, home)
        try:
            case.run(stand)
            error = None if stand.found_after else "the case never asked for its finding"
        except Exception as failure:  # noqa: BLE001: whatever went wrong is the result
            where = traceback.extract_tb(failure.__traceback__)[-1]
            error = f"{type(failure).__name__}: {failure} ({pathlib.Path(where.filename).name}:{where.lineno})"
        finally:
            hindered = stand.close()
        if hindered and not error:
            error = f"it did not end well: {'; '.join(hindered)}"
    found = max(stand.found_after) if stand.found_after else None
    return {"name": case.name, "code": case.code, "family": case.family, "causes": case.causes, "what": case.what,
            "foundAfter": found, "error": error, "took": round(time.monotonic() - began, 1)}


def promise(found, binary):
    """The row of the promise page."""
    from rack import results
    failed = [one for one in found if one["error"]]
    seconds = sorted(one["foundAfter"] for one in found if one["foundAfter"] is not None)
    results.promise("F14", "An injected fault → the right finding, and no other as severe", "≤ 10 s",
                    f"{seconds[-1]:.1f} s at worst, {seconds[len(seconds) // 2]:.1f} s in the middle", "",
                    not failed and seconds[-1] <= WITHIN, "tests/doctor/run.py", binary,
                    f"{len(found) - len(failed)} of {len(found)} faults, {len({one['code'] for one in found})} codes")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", help="only cases whose name or code begins so")
    options.add_argument("--binary", default=TARGET / "debug" / "nacre", type=pathlib.Path)
    options.add_argument("--jobs", type=int, default=AT_ONCE)
    options.add_argument("--docs", action="store_true", help="write docs/diagnosis.md from what was found")
    chosen = options.parse_args()
    cases = [case for case in load()
             if not chosen.names or any(case.name.startswith(n) or case.code.startswith(n) for n in chosen.names)]
    assert cases, "no such case"
    assert chosen.binary.exists(), f"{chosen.binary} is not built"
    # What needs the machine for itself (stopped processes, starved cores) goes last and alone.
    together = [case for case in cases if not case.alone]
    results, lock = [], threading.Lock()

    def one(case):
        result = run(case, chosen.binary)
        with lock:
            results.append(result)
            word = "FAIL" if result["error"] else "ok  "
            found = "" if result["foundAfter"] is None else f"found after {result['foundAfter']:.1f} s"
            print(f"{word} {result['code']:34} {result['name']:44} {found}", result["error"] or "", flush=True)

    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        list(pool.map(one, together))
    for case in cases:
        if case.alone:
            one(case)
    results.sort(key=lambda result: (result["family"], result["code"], result["name"]))
    home = TARGET / "doctor"
    home.mkdir(parents=True, exist_ok=True)
    (home / "result.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if not chosen.names:
        promise(results, chosen.binary)
    if chosen.docs:
        import page
        page.write(results, ROOT)
    failed = sum(1 for result in results if result["error"])
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
