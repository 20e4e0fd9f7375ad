#!/usr/bin/env python3
"""Checks the dependencies against deny.toml: licences, banned crates, duplicate versions, sources.

cargo-deny reads the same file and knows more (advisories); where it is installed it is run as well. Building it takes
longer than building nacre, so the check that must always run is this one: it needs Python 3.9 and cargo only.
"""
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def policy(text):
    """The parts of deny.toml that are used: {"licenses.allow": [...], "bans.deny": [...], ...} of names."""
    found, section, rest = {}, "", None
    for line in text.splitlines():
        line = re.sub(r'#(?=([^"]*"[^"]*")*[^"]*$).*', "", line).strip()
        if rest is None and (head := re.fullmatch(r"\[([\w.-]+)\]", line)):
            section = head.group(1)
        elif rest is None and (start := re.match(r"([\w-]+)\s*=\s*\[(.*)", line)):
            rest, name = start.group(2), f"{section}.{start.group(1)}"
            found[name] = []
            line = rest
        if rest is not None:
            # `{ crate = "name@version", reason = "..." }` or a bare string.
            crates = re.findall(r'crate\s*=\s*"([^"]*)"', line)
            found[name] += crates if "{" in line else re.findall(r'"([^"]*)"', line)
            if line.endswith("]"):
                rest = None
    return found


def allowed(expression, licences):
    """Whether an SPDX expression can be met with the licences; `/` is the old spelling of OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def term():
        nonlocal position
        if position < len(tokens) and tokens[position] == "(":
            position += 1
            value = either()
            position += 1  # the closing one
            return value
        name = tokens[position] if position < len(tokens) else ""
        position += 1
        if position + 1 < len(tokens) and tokens[position].upper() == "WITH":
            name += f" WITH {tokens[position + 1]}"
            position += 2
        return name in licences

    def both():
        nonlocal position
        value = term()
        while position < len(tokens) and tokens[position].upper() == "AND":
            position += 1
            value = term() and value
        return value

    def either():
        nonlocal position
        value = both()
        while position < len(tokens) and tokens[position].upper() == "OR":
            position += 1
            value = both() or value
        return value

    return bool(tokens) and either()


def names_it(rule, package):
    """`name`, or `name@version` where the version may be cut short."""
    name, _, version = rule.partition("@")
    have = package["version"]
    return package["name"] == name and (not version or have == version or have.startswith(version + "."))


def problems(packages, rules):
    licences = set(rules.get("licenses.allow", []))
    skipped = rules.get("bans.skip", [])
    registries = rules.get("sources.allow-registry", [])
    out, versions, used = [], {}, set()
    for package in packages:
        title = f"{package['name']} {package['version']}"
        own = package["source"] is None
        if not allowed(package.get("license") or "", licences):
            out.append(f"{title}: licence {package.get('license') or '(none)'} is not allowed")
        out += [f"{title}: banned" for rule in rules.get("bans.deny", []) if names_it(rule, package)]
        if not own and not any(package["source"] == f"registry+{registry}" for registry in registries):
            out.append(f"{title}: comes from {package['source']}")
        hits = [rule for rule in skipped if names_it(rule, package)]
        used.update(hits)
        if not hits:
            versions.setdefault(package["name"], []).append(package["version"])
    out += [f"{name}: two versions, {' and '.join(sorted(have))}" for name, have in versions.items() if len(have) > 1]
    out += [f"deny.toml skips {rule}, which is not there" for rule in skipped if rule not in used]
    return sorted(out)


def main():
    rules = policy((ROOT / "deny.toml").read_text(encoding="utf-8"))
    metadata = subprocess.run(["cargo", "metadata", "--locked", "--format-version", "1"], cwd=ROOT, check=True,
                              stdout=subprocess.PIPE).stdout
    packages = json.loads(metadata)["packages"]
    found = problems(packages, rules)
    for line in found:
        print(f"deny: {line}")
    print(f"deny: {len(packages)} packages, {len(found)} problems")
    code = 1 if found else 0
    if shutil.which("cargo-deny"):
        code = code or subprocess.run(["cargo", "deny", "check", "licenses", "bans", "sources"], cwd=ROOT).returncode
    return code


if __name__ == "__main__":
    sys.exit(main())
