"""docs/diagnosis.md: which cause is named by which code, after how many seconds, and what proves it."""

import pathlib
import re

# Causes of the catalogue that one node cannot have, or cannot see, and what it would take.
UNSEEN = pathlib.Path(__file__).with_name("unseen.tsv")

# Codes that no fault is injected for, and why.
NOT_INJECTED = {}


def write(results, root):
    lines = [
        "# What the doctor names", "",
        "Made by `tests/doctor/run.py --docs`; not written by hand. Each row is a fault that was injected for real (processes,",
        "signals, sockets, network namespaces, proxies) and the finding that named it; `nacre explain CODE` prints its page,",
        "which is also in [findings](findings). Seconds count from the moment the symptom could be seen.", "",
        "| code | causes | injected | seconds | proof |", "|---|---|---|---|---|",
    ]
    proven = set()
    for result in results:
        if result["error"]:
            continue
        proven.add(result["code"])
        lines.append(f"| [{result['code']}](findings/{result['code']}.md) | {', '.join(result['causes'])} | {result['what']} "
                     f"| {result['foundAfter']:.1f} | `{result['family']}.{result['name']}` |")
    pages = {page.stem: page.read_text() for page in (root / "docs" / "findings").glob("*.md") if page.stem != "README"}
    lines += ["", "## Proven by tests of the rule only", ""]
    if proven >= set(pages):
        lines.append("None: a fault is injected for every code.")
    else:
        lines += ["| code | severity | what | why no fault is injected |", "|---|---|---|---|"]
    for code in sorted(set(pages) - proven):
        severity = re.search(r"^severity: (\w+)", pages[code], re.M).group(1)
        title = re.search(r"^title: (.+)$", pages[code], re.M).group(1)
        lines.append(f"| [{code}](findings/{code}.md) | {severity} | {title} | {NOT_INJECTED.get(code, '')} |")
    lines += ["", "## What cannot be seen", "", "| cause | why, and what it would take |", "|---|---|"]
    for row in UNSEEN.read_text().splitlines():
        if row and not row.startswith("#"):
            cause, why = row.split("\t", 1)
            lines.append(f"| {cause} | {why} |")
    (root / "docs" / "diagnosis.md").write_text("\n".join(lines) + "\n")
