"""What the drivers of both generations of nacos-sdk-python say and how: one JSON object per line, on a standard output that
the SDK cannot talk on."""

import json
import os
import threading
import traceback

OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
_whole_lines = threading.Lock()


def send(message):
    with _whole_lines:
        OUT.write(json.dumps(message, ensure_ascii=False) + "\n")
        OUT.flush()


def failed(reply, failure):
    """The runner judges what went wrong; the whole story goes to the driver's log."""
    traceback.print_exc()
    reply["ok"] = False
    reply["error"] = f"{type(failure).__name__}: {failure}"
