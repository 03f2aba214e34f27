#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/DEPENDENCIES.md names exactly the packages of .ci/packages, each in its section."""

import os
import re

import tree

SECTIONS = ("run", "build", "vm", "check", "bench")


def listed(text):
    """{(section, package)} and complaints of .ci/packages."""
    packages, problems = set(), []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        words = line.split(None, 2)
        if len(words) < 3 or words[0] not in SECTIONS:
            problems.append(f".ci/packages:{number}: wants: section package reason")
            continue
        packages.add((words[0], words[1]))
    return packages, problems


def documented(text):
    """{(section, package)} of the tables under the headings `## ... (section)`."""
    packages, section = set(), None
    for line in text.splitlines():
        heading = re.match(r"##\s.*\((\w+)\)\s*$", line)
        if line.startswith("## "):
            section = heading.group(1) if heading else None
        row = re.match(r"\|\s*`([^`]+)`\s*\|\s*\S", line)
        if row and section:
            packages.add((section, row.group(1)))
    return packages


def main():
    root = os.path.abspath(tree.arguments(__doc__).parse_args().root)
    packages, violations = listed(tree.read(root, ".ci/packages"))
    written = documented(tree.read(root, "docs/DEPENDENCIES.md"))
    for section, package in sorted(packages - written):
        violations.append(f"docs/DEPENDENCIES.md: {package} ({section}) is not explained")
    for section, package in sorted(written - packages):
        violations.append(f".ci/packages: {package} ({section}) is explained but not listed")
    tree.finish("dependencies", violations, f"{len(packages)} packages")


if __name__ == "__main__":
    main()
