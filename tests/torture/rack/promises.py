"""docs/promises.md: what nacre promises, what was measured last, and what it does not promise. Written from result files."""

import json
import re

from . import faults, results

DOCS = results.ROOT / "docs" / "promises.md"
# The rows of one node: what, and the target. Others come with the cluster, staged release and the doctor.
ROWS = {
    "F1": ("Lost acknowledged writes: publishes and persistent registrations that were acknowledged and are absent later, over "
           "1,000 kill -9 and 200 power cuts", "0"),
    "F3": ("Discovery convergence: acknowledgement of a change → the last of 10,000 subscribers holds it",
           "p99 ≤ 100 ms idle, ≤ 1 s under 1,000 changes/s"),
    "F4": ("Config convergence: acknowledgement of a publish → the last of 10,000 listeners has fetched the text",
           "p99 ≤ 500 ms"),
    "F7": ("False expiry: instances removed or unhealthy while their process is alive and sending; no fault, and stalls of "
           "200 ms and 30 s", "0"),
    "F8": ("Detection: a client dies → it is out of its subscribers' lists: kill -9 of a gRPC client, beats that cease (beyond "
           "their configured timeout), a cut cable", "≤ 500 ms; ≤ 1 s; ≤ 20 s"),
    "F9": ("Watch integrity: events lost, duplicated, reordered over reconnects", "0"),
    "F10": ("Recovery: restart of a node with 100,000 configs and 10,000 persistent instances → ready and correct", "≤ 10 s"),
    "F14": ("Explanation: an injected fault → the right finding; false findings in a healthy system", "≤ 10 s; 0"),
    "F13": ("Footprint: bytes per ephemeral instance, idle connection and listened key; CPU with 10,000 idle connections",
            "≤ 450 B, ≤ 12 KB, ≤ 100 B; ≤ 2 % of a core"),
}

NOT_PROMISED = [
    "**More than one node.** This version is one process on one machine. When it is down, clients live on what they hold.",
    "**That an answer which never came means no.** A write without an answer may have happened; `outcome unknown: …` says the "
    "same in words. Read before repeating; compare-and-set makes repeating safe.",
    "**Ephemeral instances over a restart.** They come back with their clients, within one reconnect or beat; nacre lists nobody "
    "who has not said that he is there.",
    "**Every state in between.** A subscriber holds the newest list, a listener the newest text. Changes that follow one another "
    "faster than they are fetched are seen as one.",
    "**One order over different keys.** Each config and each service has its own; between two of them there is none.",
    "**Writes on a disk that lies.** A disk that acknowledges a flush and loses it loses what was acknowledged. The next start "
    "is refused when another file witnesses the loss; there may be none.",
    "**Damage while it runs.** Every byte of the log and every page of the database are checked at each start, not in between.",
    "**Times of a wall clock that jumps.** Expiry is not affected; the times shown are those of the clock.",
]

# Rows of the table "what happens when" whose tests live elsewhere: what, effect, what goes on, why, test.
ELSEWHERE = [
    ("The process is killed", "clients reconnect", "everything acknowledged is there after the start",
     "an answer is given after the flush; the log is replayed", "kill_9_under_load_loses_nothing_that_was_acknowledged"),
    ("A write is cut in half by a crash", "it is cut off at the next start", "everything acknowledged",
     "the log knows what was acknowledged; the event is `logTailCut`", "a_torn_tail_does_not_hinder_the_start"),
    ("A byte of the log flips", "the start is refused, naming the file and what to do", "nothing runs",
     "a silent start with less would be worse", "a_damaged_log_refuses_the_start_by_name_and_says_what_to_do"),
    ("A byte of the database flips", "the start is refused, naming the file and what to do", "nothing runs",
     "SQLite keeps no checksums, nacre does", "a_flipped_bit_anywhere_in_the_database_refuses_the_start_by_name"),
    ("The file handles run out", "new connections wait or are refused; the oldest silent one gives way",
     "beats, calls and pushes of everybody who speaks", "a reserve is kept for the server itself",
     "idle_connections_that_use_up_the_file_handles_disturb_nobody_c087"),
    ("All clients reconnect at once", "registrations take longer", "what is acknowledged is listed at once",
     "the acknowledgement comes after the registry holds it",
     "every_acknowledged_registration_is_listed_after_a_mass_reconnect_c025"),
    ("The server is starting", "it refuses, or answers with everything", "nobody sees half a registry",
     "nothing is served before the log is replayed", "a_starting_server_refuses_or_knows_everything_c026_c027"),
    ("A UDP subscriber of 1.x is dead", "its push is repeated and given up", "the living are pushed without delay",
     "every subscriber has an outbox of its own", "dead_udp_subscribers_do_not_delay_the_living"),
]


def rows():
    found = {}
    for path in sorted((results.TARGET / "promises").glob("*.json")):
        loaded = json.loads(path.read_text())
        for one in loaded if isinstance(loaded, list) else [loaded]:
            found.setdefault(one["row"], []).append(one)
    return found


def measured(one):
    text = f"{one['measured']} {one['unit']}".strip()
    return text if one["ok"] else f"**{text} (missed)**"


def cell(text):
    return re.sub(r"\s+", " ", str(text)).replace("|", "\\|")


def figure(what):
    """What a line is about, in whatever numbers it was measured."""
    return re.sub(r"[\d,]+", "", cell(what))


def kept(row, again, before):
    """Lines of the page as it was about what was not measured again: each names the version it was measured with."""
    lines = (line for line in before.splitlines() if line.startswith(f"| {row} | ") and line.count("`") >= 2)
    return [line for line in lines if not figure(line.split(" | ")[1]).startswith(tuple(map(figure, again)))]


def table(found, before=""):
    lines = ["| # | figure | target | measured | version | command |", "|---|---|---|---|---|---|"]
    for row in sorted(ROWS.keys() | found.keys(), key=lambda row: int(re.sub(r"\D", "", row))):
        what, target = ROWS.get(row, ("", ""))
        old = kept(row, [one["what"] or what for one in found.get(row, ())], before)
        if row not in found and not old:
            lines.append(f"| {row} | {what} | {target} | not measured yet | | |")
        for one in found.get(row, ()):
            note = f" ({one['note']})" if one.get("note") else ""
            lines.append("| " + " | ".join(map(cell, (row, (one["what"] or what) + note, one["target"] or target, measured(one),
                                                      one["version"], f"`{one['command']}`"))) + " |")
        lines += old
    return lines


def happens():
    lines = ["| what fails | effect | what goes on | why | test |", "|---|---|---|---|---|"]
    for test in faults.TESTS:
        lines.append("| " + " | ".join(faults.row(test)) + f" | `{test.__name__}` |")
    for *parts, test in ELSEWHERE:
        lines.append("| " + " | ".join(parts) + f" | `{test}` |")
    return lines



def page():
    return "\n".join([
        "# What nacre promises",
        "",
        "Each row is a figure, how it is defined, what it must be and what was measured last, with the command that measures it",
        "again. This page is written by `make promises` from the result files of those commands, never by hand; what was",
        "not measured again stays as it was, with its version.",
        "",
        *table(rows(), DOCS.read_text() if DOCS.exists() else ""),
        "",
        "F2, F5, F6, F11, F12 and F15 belong to several nodes, backups and staged release, which are later work.",
        "",
        "## What nacre does not promise",
        "",
        *(f"* {text}" for text in NOT_PROMISED),
        "",
        "## What happens when",
        "",
        "Each row is a test: `make faults` and `make test` run them.",
        "",
        *happens(),
        "",
        "What torture, faults and fuzzing found, and the command that shows that it is gone: [robustness](robustness.md).",
        "",
    ])


def write():
    DOCS.write_text(page())
    return DOCS
