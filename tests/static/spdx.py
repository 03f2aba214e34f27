#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every source file opens with the SPDX line of the licence that its folder has (see LICENSE)."""

import os

import tree

KERNEL = "GPL-2.0"
SHARED = "GPL-2.0 OR MIT"
UAPI = "((GPL-2.0 WITH Linux-syscall-note) OR MIT)"
REST = "Apache-2.0"

COMMENTED = (".c", ".h", ".cc", ".py", ".sh", ".cmake", ".capnp", ".toml", ".yml", ".supp", ".pml", ".tla")
NAMED = ("CMakeLists.txt", "Kbuild", "Makefile")
SCRIPTS = ("up", "check", ".ci/run", ".ci/packages")


def licence_of(path):
    if path.startswith("include/uapi/"):
        return UAPI
    if path.startswith("lib/session/"):
        # Its CMakeLists.txt is no part of what the kernel builds.
        return REST if path.endswith("CMakeLists.txt") else SHARED
    if path.startswith(("kmod/", "tests/vm/modules/")) or path == "Kbuild":
        return KERNEL
    return REST


def has_licence(path):
    """Whether the file can hold a comment and is ours (data, prose and JSON are not asked)."""
    name = os.path.basename(path)
    if path.startswith("tests/") and "/data/" in path:
        return False
    return path.endswith(COMMENTED) or name in NAMED or path in SCRIPTS


def main():
    root = os.path.abspath(tree.arguments(__doc__).parse_args().root)
    violations, checked = [], 0
    for path in tree.files(root):
        if not has_licence(path):
            continue
        checked += 1
        lines = tree.read(root, path).splitlines()[:2]
        # A script's interpreter line must come first.
        line = 2 if lines and lines[0].startswith("#!") else 1
        first = lines[line - 1] if len(lines) >= line else ""
        stated = first.partition("SPDX-License-Identifier:")[2].removesuffix("*/").strip()
        wanted = licence_of(path)
        if stated != wanted:
            violations.append(f"{path}:{line}: wants SPDX-License-Identifier: {wanted}, "
                              f"has {stated or 'none'}")
    tree.finish("spdx", violations, f"{checked} files")


if __name__ == "__main__":
    main()
