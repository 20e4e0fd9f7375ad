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

    def add(self, client, behaviour, ok, detail="", ms=0, kind=""):
        """A row of kind `later` is neither passed nor failed: its `ok` is None."""
        row = {"client": client.name, "version": client.version, "behaviour": behaviour, "ok": ok,
               "detail": detail, "ms": int(ms)}
        if kind:
            row["kind"] = kind
        with self._lock:
            self.rows.append(row)
            mark = {True: "ok  ", False: "FAIL", None: kind}[ok]
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
        return [row for row in self.rows if row["ok"] is False]

    def passed(self):
        return [row for row in self.rows if row["ok"] is True]

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
    """Replaces what stands between the marks of each table (name, clients, behaviours) with what the result says. Without
    behaviours each row is a method of a client."""
    with open(path, encoding="utf-8") as page:
        text = page.read()
    for name, clients, behaviours in tables:
        begin, end = marks(name)
        if begin not in text or end not in text:
            raise SystemExit(f"{path} lacks the marks {begin} and {end}")
        head, rest = text.split(begin, 1)
        text = head + begin + "\n" + (_table(rows, clients, behaviours) if behaviours else _methods(rows, clients)) + end + rest.split(end, 1)[1]
    with open(path + ".new", "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(path + ".new", path)


def _table(rows, clients, behaviours):
    clients = complete(rows, clients)
    results = {(row["client"], row["behaviour"]): row["ok"] for row in rows}
    lines = ["| What | " + " | ".join(f"{client.title}<br>{client.version}" for client in clients) + " |",
             "| --- |" + " :-: |" * len(clients)]
    notes = []
    for behaviour in behaviours:
        cells = [_cell(client, behaviour, results, notes) for client in clients]
        lines.append(f"| {behaviour.title} | " + " | ".join(cells) + " |")
    lines.append("")
    lines.extend(f"{number}. {note[0].upper()}{note[1:]}." for number, note in enumerate(notes, 1))
    return "\n".join(lines) + "\n"


def complete(rows, clients):
    """The clients in the order of the columns; a table of half a result is not written."""
    missing = [client.name for client in clients if not any(row["client"] == client.name for row in rows)]
    if missing:
        raise SystemExit(f"the result has no rows of {', '.join(missing)}: run the whole suite first")
    return sorted(clients, key=lambda client: (client.title, client.version))


def _methods(rows, clients):
    """By area: the methods that are answered, those that are not, and those whose endpoints are for later."""
    names = {client.name for client in complete(rows, clients)}
    areas = {}
    for row in rows:
        if row["client"] in names and "." in row["behaviour"]:
            area, method = row["behaviour"].split(".")
            shown = f"`{method}`"
            if row["ok"] is None:
                shown += " (" + ", ".join(f"`{asked.replace(' /nacos/', ' /')}`" for asked in row["detail"].split(", ")) + ")"
            areas.setdefault(area, {}).setdefault(row["ok"], []).append(shown)
    lines = ["| Area | Answered | Later, with what the client asks |", "| --- | --- | --- |"]
    for area, methods in areas.items():
        answered = ", ".join(methods.get(True, []) + [f"**not** {name}" for name in methods.get(False, [])])
        lines.append(f"| {area} | {answered or '–'} | {', '.join(methods.get(None, [])) or '–'} |")
    return "\n".join(lines) + "\n"


def _cell(client, behaviour, results, notes):
    reason = client.lacks.get(behaviour.name)
    if reason:
        if reason not in notes:
            notes.append(reason)
        return f"– ({notes.index(reason) + 1})"
    ok = results.get((client.name, behaviour.name))
    return {True: "yes", False: "**no**", None: "?"}[ok]
