"""Result files: details of a run (target/torture) and rows of the promise page (target/promises)."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")


def _write(folder, name, data):
    path = TARGET / folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def write(name, outcome):
    """Details of one run: target/torture/NAME.json."""
    _write("torture", name, outcome)


def read(name):
    path = TARGET / "torture" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def promise(row, what, target, measured, unit, ok, command, binary, note="", part=""):
    """One row of docs/promises.md, as measured: target/promises/ROW.json, or ROW-PART.json of a row in parts."""
    _write("promises", f"{row}-{part}" if part else row, {"row": row, "what": what, "target": target, "measured": measured, "unit": unit, "ok": ok,
                             "command": command, "version": version(binary), "note": note})


def version(binary):
    """What the binary says it is, and the commit it was built from if it was built here."""
    told = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout.strip()
    if TARGET.resolve() not in pathlib.Path(binary).resolve().parents:
        return told
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return f"{told} ({commit})" if commit else told
