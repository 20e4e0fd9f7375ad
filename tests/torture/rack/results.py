"""Result files: what was measured, by which version, on which machine, and the command that repeats it."""

import json
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")


def write(name, outcome):
    """Details of one run: target/torture/NAME.json."""
    path = TARGET / "torture" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(outcome, indent=1, ensure_ascii=False) + "\n")
