#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing unfinished and nothing of one machine: no to-do marks, paths of a developer's machine,
or addresses of package mirrors, which every machine sets up for itself."""

import os
import re

import tree

RULES = (
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b"), "a mark of unfinished work"),
    (re.compile(r"(?<![\w.])/wo" r"rk/"), "a path of one developer's machine"),
    (re.compile(r"\b(deb|ftp|security|snapshot|registry|mirror|mirrors|archive)\.[a-z0-9-]+"
                r"(\.[a-z0-9-]+)*\.(org|com|io|net)\b"), "the address of a package mirror"),
    (re.compile(r"\b(std::this_thread::sleep_(for|until)|usleep|nanosleep)\s*\("),
     "a sleep: await the event instead"),
    (re.compile(r"^(<{7}|>{7}|={7}$)", re.MULTILINE), "a merge conflict"),
    (re.compile(r"[ \t]+$", re.MULTILINE), "blanks at the end of a line"),
)
CODE = re.compile(r"(\.(c|h|cc|py|sh|cmake|capnp|toml|md|txt)|^(up|check|Kbuild|README\.md|\.ci/\w+))$")
# Recorded data is kept as it was recorded.
DATA = re.compile(r"^(LICENSE|docs/licenses/|tests/.*/(data|corpus|snapshots)/)")


def main():
    root = os.path.abspath(tree.arguments(__doc__).parse_args().root)
    violations, checked = [], 0
    for path in tree.files(root):
        if DATA.search(path) or not CODE.search(path):
            continue
        checked += 1
        text = tree.read(root, path)
        for pattern, what in RULES:
            for match in pattern.finditer(text):
                number = text.count("\n", 0, match.start()) + 1
                violations.append(f"{path}:{number}: {what}: {match.group(0).strip()}".rstrip(": "))
    tree.finish("words", violations, f"{checked} files")


if __name__ == "__main__":
    main()
