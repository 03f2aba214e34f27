#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lib/session compiles without a C library, at the kernel's warning level, and needs nothing but
memcpy, memmove, memset and memcmp: what every kernel and every compiler's run-time library has."""

import os
import shutil
import subprocess
import sys
import tempfile

import tree

FLAGS = [
    "-std=gnu11", "-O2", "-ffreestanding", "-nostdlib", "-fno-builtin", "-fno-stack-protector",
    "-fno-pic", "-mno-sse", "-mno-mmx", "-mno-80387", "-fno-strict-aliasing", "-fno-common",
    # Warnings of the kernel's own Makefile, all of them errors here.
    "-Werror", "-Wall", "-Wextra", "-Wundef", "-Wstrict-prototypes", "-Wmissing-prototypes",
    "-Wold-style-definition", "-Wdeclaration-after-statement", "-Wvla", "-Wpointer-arith",
    "-Wimplicit-fallthrough", "-Wframe-larger-than=2048", "-Wshadow", "-Wwrite-strings",
    "-Wno-unused-parameter", "-Wno-sign-compare",
]
ALLOWED = {"memcpy", "memmove", "memset", "memcmp"}


def undefined_symbols(object_path):
    listing = subprocess.run(["nm", "-u", object_path], capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in listing.stdout.splitlines() if line.strip()}


def main():
    parser = tree.arguments(__doc__)
    parser.add_argument("--compiler", default="gcc")
    args = parser.parse_args()
    root = os.path.abspath(args.root)
    if not shutil.which(args.compiler):
        tree.skip(f"{args.compiler} is not installed")

    sources = [p for p in tree.files(root, [".c"]) if p.startswith("lib/session/")]
    if not sources:
        tree.finish("freestanding", ["lib/session: no C source"], 0)
    with tempfile.TemporaryDirectory() as build:
        objects = []
        for source in sources:
            objects.append(os.path.join(build, os.path.basename(source) + ".o"))
            command = [args.compiler, *FLAGS, "-I", root, "-I", f"{root}/include", "-c",
                       os.path.join(root, source), "-o", objects[-1]]
            if subprocess.run(command).returncode != 0:
                print(f"freestanding: {source} does not compile with {args.compiler}")
                sys.exit(1)
        whole = os.path.join(build, "session.o")
        subprocess.run(["ld", "-r", "-nostdlib", *objects, "-o", whole], check=True)
        surplus = sorted(undefined_symbols(whole) - ALLOWED)
    tree.finish(f"freestanding ({args.compiler})",
                [f"lib/session: needs {symbol} from outside" for symbol in surplus],
                f"{len(sources)} files")


if __name__ == "__main__":
    main()
