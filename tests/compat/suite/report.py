"""Rows of the result, and the table of docs/compatibility.md that is made of them."""

import json
import os
import threading
import time
from contextlib import contextmanager

class FlowBroken(Exception):
    """A row failed and the rows after it in the same flow have nothing to stand on."""


class Report:
    def __init__(self):
        self.rows = []
        self._lock = threading.Lock()

    def add(self, client, behaviour, ok, detail="", ms=0):
        row = {"client": client.name, "version": client.version, "behaviour": behaviour, "ok": ok,
               "detail": detail, "ms": int(ms)}
        with self._lock:
            self.rows.append(row)
            mark = "ok  " if ok else "FAIL"
            print(f"{mark} {client.name:<18} {behaviour:<24} {row['ms']:>6} ms  {detail}".rstrip(), flush=True)

    @contextmanager
    def row(self, client, behaviour):
        """Records the body as one row: an exception is the failure."""
        start = time.monotonic()
        try:
            yield
        except Exception as failure:
            detail = f"{type(failure).__name__}: {failure}"
            self.add(client, behaviour, False, detail, (time.monotonic() - start) * 1000)
            raise FlowBroken(behaviour) from failure
        self.add(client, behaviour, True, "", (time.monotonic() - start) * 1000)

    def failed(self):
        return [row for row in self.rows if not row["ok"]]

    def write(self, path):
        with self._lock, open(path, "w", encoding="utf-8") as out:
            json.dump(self.rows, out, ensure_ascii=False, indent=1)
            out.write("\n")


def load(path):
    try:
        with open(path, encoding="utf-8") as rows:
            return json.load(rows)
    except FileNotFoundError:
        raise SystemExit(f"{path} is not there: run the suite first")


def marks(name):
    """What stands around the table of this name in the page."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def write_docs(path, rows, tables):
    """Replaces what stands between the marks of each table (name, clients, behaviours) with what the result says."""
    with open(path, encoding="utf-8") as page:
        text = page.read()
    for name, clients, behaviours in tables:
        begin, end = marks(name)
        if begin not in text or end not in text:
            raise SystemExit(f"{path} lacks the marks {begin} and {end}")
        head, rest = text.split(begin, 1)
        text = head + begin + "\n" + _table(rows, clients, behaviours) + end + rest.split(end, 1)[1]
    with open(path + ".new", "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(path + ".new", path)


def _table(rows, clients, behaviours):
    clients = sorted(clients, key=lambda client: (client.title, client.version))
    results = {(row["client"], row["behaviour"]): row["ok"] for row in rows}
    missing = [client.name for client in clients if not any(row["client"] == client.name for row in rows)]
    if missing:
        raise SystemExit(f"the result has no rows of {', '.join(missing)}: run the whole suite first")
    lines = ["| What | " + " | ".join(f"{client.title}<br>{client.version}" for client in clients) + " |",
             "| --- |" + " :-: |" * len(clients)]
    notes = []
    for behaviour in behaviours:
        cells = [_cell(client, behaviour, results, notes) for client in clients]
        lines.append(f"| {behaviour.title} | " + " | ".join(cells) + " |")
    lines.append("")
    lines.extend(f"{number}. {note[0].upper()}{note[1:]}." for number, note in enumerate(notes, 1))
    return "\n".join(lines) + "\n"


def _cell(client, behaviour, results, notes):
    reason = client.lacks.get(behaviour.name)
    if reason:
        if reason not in notes:
            notes.append(reason)
        return f"– ({notes.index(reason) + 1})"
    ok = results.get((client.name, behaviour.name))
    return {True: "yes", False: "**no**", None: "?"}[ok]
