#!/usr/bin/env python3
"""Checks the dependencies against deny.toml: licences, banned crates, versions side by side, where crates come from.

What cargo-deny checks too, for machines that do not have it. Needs cargo and Python 3.11.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict


def main() -> int:
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    packages = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    problems = [*licences(packages, rules), *bans(packages, rules), *duplicates(packages, rules), *sources(packages)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def licences(packages, rules):
    allowed = set(rules["licenses"]["allow"])
    for package in packages:
        text = package["license"] or ""
        if not is_allowed(text.replace("/", " OR "), allowed):
            yield f"{package['name']} {package['version']}: licence {text or 'unknown'!r} is not allowed"


def is_allowed(expression, allowed):
    """An SPDX expression: AND binds more tightly than OR; parentheses are not nested in practice."""
    while inner := re.search(r"\(([^()]*)\)", expression):
        verdict = "yes" if is_allowed(inner[1], allowed) else "no"
        expression = expression[: inner.start()] + verdict + expression[inner.end() :]
    return any(
        all(part.strip() == "yes" or part.strip() in allowed for part in choice.split(" AND "))
        for choice in expression.split(" OR ")
    )


def bans(packages, rules):
    banned = {ban["crate"]: ban["reason"] for ban in rules["bans"]["deny"]}
    for package in packages:
        if package["name"] in banned:
            yield f"{package['name']}: banned: {banned[package['name']]}"


def duplicates(packages, rules):
    explained = {skip["crate"] for skip in rules["bans"]["skip"]}
    versions = defaultdict(set)
    for package in packages:
        versions[package["name"]].add(package["version"])
    present = {f"{name}@{version}" for name, all_of in versions.items() for version in all_of}
    for gone in sorted(explained - present):
        yield f"{gone}: is not used any more, so it leaves `skip`"
    for name, all_of in sorted(versions.items()):
        left = sorted(version for version in all_of if f"{name}@{version}" not in explained)
        if len(left) > 1:
            yield f"{name}: {' and '.join(left)} side by side, and `skip` in deny.toml says no reason"


def sources(packages):
    for package in packages:
        source = package["source"]
        if source and not source.startswith("registry+"):
            yield f"{package['name']}: comes from {source}"


if __name__ == "__main__":
    sys.exit(main())
