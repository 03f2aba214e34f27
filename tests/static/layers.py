#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a folder uses one that does not stand above it in the table of docs/ARCHITECTURE.md.

The table there is the rule itself: it is parsed, not repeated here. What a folder may use is what
its row names, and what those may use in turn. Checked are #include lines and, in the folder's
CMakeLists.txt, the targets that its library links. Besides that, some headers and functions have
one home: liburing, libfuse, kernel versions, and for pure cores no clock, randomness or I/O at all.
"""

import os
import re

import tree

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
TABLE_ROW = re.compile(r"^\|\s*`([^`]+)`\s*\|.*\|([^|]*)\|\s*$")

# Headers that lib/session may use besides its own; all but the kernel's are freestanding.
SESSION_HEADERS = {"stdbool.h", "stddef.h", "stdint.h", "asm/errno.h", "linux/errno.h",
                   "linux/limits.h", "linux/stddef.h", "linux/string.h", "linux/types.h"}

PURE_CORES = ("lib/session/", "lib/member/", "lib/kddm/")
IMPURE = re.compile(
    r"\b(clock_gettime|gettimeofday|clock_nanosleep|nanosleep|usleep|sleep|time|ktime_get\w*"
    r"|steady_clock|system_clock|high_resolution_clock|random_device|mt19937\w*|getrandom"
    r"|get_random_\w+|arc4random|s?rand|random|socket|open|read|write|send|recv)\s*\(")
IMPURE_TYPES = re.compile(
    r"\bstd::(chrono::(steady|system|high_resolution)_clock|random_device|mt19937\w*)\b")
IMPURE_HEADERS = re.compile(r"^(time\.h|sys/time\.h|ctime|random|sys/random\.h|sys/socket\.h|unistd\.h)$")

# (what matches the header, where it may be included, how the message calls it)
HEADER_HOMES = (
    (re.compile(r"^liburing(\.h|/)"), re.compile(r"^(lib/io/uring_|tests/)"), "liburing belongs in lib/io/uring_*"),
    (re.compile(r"^fuse(3/|_|\.h)"), re.compile(r"^(daemon|tests)/"), "libfuse belongs in daemon/"),
)
KERNEL_VERSION = re.compile(r"\b(KERNEL_VERSION|LINUX_VERSION_CODE)\b")


def read_table(text):
    """{folder: set of folders it names in its last column}, in the order of the rows."""
    table = {}
    section = text.split("## Layers", 1)
    if len(section) != 2:
        return table
    for line in section[1].split("\n## ", 1)[0].splitlines():
        row = TABLE_ROW.match(line)
        if row:
            uses = row.group(2)
            names = set(re.findall(r"`([^`]+)`", uses))
            table[row.group(1)] = {"*"} if "everything" in uses else names
    return table


def close_over(table):
    """Adds to each row what the rows it names may use; complains about a row below it."""
    closed, problems = {}, []
    for folder, names in table.items():
        allowed = set()
        for name in names - {"*"}:
            if name not in closed:
                problems.append(f"docs/ARCHITECTURE.md: {folder} may not use {name}, which is not above it")
                continue
            allowed |= {name} | closed[name]
        closed[folder] = allowed | ({"*"} if "*" in names else set())
    return closed, problems


def folder_of(path, table):
    """The row that a path belongs to: the longest folder (or file) that is a prefix of it."""
    rows = [row for row in table if path == row or (row.endswith("/") and path.startswith(row))]
    return max(rows, key=len) if rows else None


def check_include(root, path, name, table):
    """What is wrong with this #include, or None."""
    home = folder_of(path, table)
    target = tree.resolve(root, path, name)
    if target is not None:
        used = folder_of(target, table)
        if used is None:
            return f"{target} is in no folder of the table"
        if used == home or "*" in table[home] or used in table[home]:
            return None
        return f"{home} may not use {used}"
    for header, where, message in HEADER_HOMES:
        if header.match(name) and not where.match(path):
            return message
    if home == "lib/session/" and name not in SESSION_HEADERS:
        return f"lib/session is freestanding and may not use <{name}>"
    if home == "include/clustix/" and ("/" in name or name == "absl"):
        return f"public headers use the standard library alone, not {name}"
    if home == "include/uapi/" and not name.startswith("linux/"):
        return f"a UAPI header uses <linux/...> alone, not {name}"
    if path.startswith(PURE_CORES) and IMPURE_HEADERS.match(name):
        return f"a pure core reads no clock, randomness or socket: <{name}>"
    return None


def blank(match):
    """Keeps line numbers when a comment or string is taken out."""
    return "\n" * match.group(0).count("\n")


def check_source(root, path, table):
    text = tree.read(root, path)
    for number, line in enumerate(text.splitlines(), 1):
        include = tree.INCLUDE.match(line)
        if include:
            problem = check_include(root, path, include.group(2), table)
            if problem:
                yield f"{path}:{number}: {problem}"
    code = COMMENT_OR_STRING.sub(blank, text)
    for number, line in enumerate(code.splitlines(), 1):
        if KERNEL_VERSION.search(line) and path != "kmod/compat.h":
            yield f"{path}:{number}: conditions on the kernel's version belong in kmod/compat.h"
        if not path.startswith(PURE_CORES) or not path.endswith((".c", ".cc")):
            continue
        # `x->random(` and `ops.random(` are the functions handed in; `kccm_send(` is the session's.
        for call in IMPURE.finditer(line):
            before = line[: call.start()].rstrip()
            if not before.endswith(("->", ".")):
                yield f"{path}:{number}: a pure core reads no clock, randomness or socket: {call.group(1)}"
        if IMPURE_TYPES.search(line):
            yield f"{path}:{number}: a pure core reads no clock and no randomness"


def check_links(root, path, table):
    """The libraries a lib/ folder's CMakeLists.txt links: clustix_msg stands for lib/msg/."""
    home = os.path.dirname(path) + "/"
    if home not in table or "*" in table[home]:
        return
    for number, line in enumerate(tree.read(root, path).splitlines(), 1):
        for layer in re.findall(r"\bclustix_([a-z0-9]+)\b", line.split("#", 1)[0]):
            used = "proto/" if layer == "proto" else f"lib/{layer}/"
            if used in table and used != home and used not in table[home]:
                yield f"{path}:{number}: {home} may not link clustix_{layer}"


def main():
    root = os.path.abspath(tree.arguments(__doc__).parse_args().root)
    table, violations = close_over(read_table(tree.read(root, "docs/ARCHITECTURE.md")))
    if not table:
        violations.append("docs/ARCHITECTURE.md: no table under '## Layers'")
    paths = [p for p in tree.files(root, tree.SOURCE_SUFFIXES)
             if p.startswith(("lib/", "include/", "daemon/", "proto/", "kmod/"))]
    for path in paths:
        if folder_of(path, table) is None:
            violations.append(f"{path}:1: this folder has no row in docs/ARCHITECTURE.md")
        else:
            violations += check_source(root, path, table)
    for path in tree.files(root, ["CMakeLists.txt"]):
        violations += check_links(root, path, table)
    tree.finish("layers", violations, f"{len(paths)} files")


if __name__ == "__main__":
    main()
