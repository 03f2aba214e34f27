#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The code is laid out as clang-format does with the nearest .clang-format. --fix does it."""

import os
import shutil
import subprocess
import sys

import tree


def main():
    parser = tree.arguments(__doc__)
    parser.add_argument("--fix", action="store_true", help="lay the files out instead")
    args = parser.parse_args()
    root = os.path.abspath(args.root)
    if not shutil.which("clang-format"):
        tree.skip("clang-format is not installed")
    paths = tree.files(root, tree.SOURCE_SUFFIXES)
    mode = ["-i"] if args.fix else ["--dry-run", "-Werror"]
    failed = False
    for start in range(0, len(paths), 50):
        result = subprocess.run(["clang-format", *mode, *paths[start:start + 50]], cwd=root)
        failed |= result.returncode != 0
    if failed:
        print("format: tests/static/format.py --fix lays them out")
        sys.exit(1)
    tree.finish("format", [], f"{len(paths)} files")


if __name__ == "__main__":
    main()
