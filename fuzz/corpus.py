"""Corpora: one text file a target, one input a line, with everything that is no printable ASCII as an escape.

A line that begins with `#` is a remark; the input below it is kept whatever the minimiser says (a defect once, or an
example for readers).
"""
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent / "corpus"
# Bytes of one file.
LIMIT = 200_000
PLAIN = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x5C: "\\\\"}


def escape(data):
    text = "".join(
        PLAIN.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in data
    )
    # Remarks begin with `#`; editors take blanks at the end away.
    if text.startswith("#"):
        text = "\\x23" + text[1:]
    return text[:-1] + "\\x20" if text.endswith(" ") else text


def unescape(line):
    out, at = bytearray(), 0
    while at < len(line):
        if line[at] != "\\":
            out.append(ord(line[at]))
            at += 1
        elif line[at + 1] == "x":
            out.append(int(line[at + 2 : at + 4], 16))
            at += 4
        else:
            out.append({"n": 10, "r": 13, "t": 9, "\\": 92}[line[at + 1]])
            at += 2
    return bytes(out)


def load(target):
    """(remarked inputs in order as (remark, data), other inputs)."""
    path = FOLDER / f"{target}.txt"
    kept, others, remark = [], [], []
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith("#"):
            remark.append(line[1:].strip())
        elif line:
            data = unescape(line)
            if remark:
                kept.append((remark, data))
                remark = []
            else:
                others.append(data)
    return kept, others


def save(target, kept, others):
    """Remarked inputs first, then as many of the others as fit, small ones first."""
    FOLDER.mkdir(exist_ok=True)
    lines = []
    for remark, data in kept:
        lines += [f"# {part}" for part in remark] + [escape(data)]
    spent, known = sum(map(len, lines)), {data for _, data in kept}
    for data in sorted(set(others) - known, key=lambda data: (len(data), data)):
        line = escape(data)
        spent += len(line) + 1
        if spent > LIMIT:
            break
        if data:
            lines.append(line)
    (FOLDER / f"{target}.txt").write_text("\n".join(lines) + "\n")
