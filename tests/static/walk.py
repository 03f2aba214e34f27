#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What README.md has its reader run in build/ is built by ./up."""

import os
import re
import subprocess

import tree

# In ./up, the one call of build() that stands at the beginning of a line.
TARGETS = re.compile(r"^build (.+)$", re.MULTILINE)
PROGRAM = re.compile(r"(?<![\w-])build/((?:bin|docs)/[\w/-]*\w)")


def main():
    parser = tree.arguments(__doc__)
    parser.add_argument("--build", required=True, help="the build folder")
    arguments = parser.parse_args()
    root = os.path.abspath(arguments.root)
    if not os.path.exists(os.path.join(arguments.build, "build.ninja")):
        tree.skip("the build folder is not one of ninja's")
    (targets,) = TARGETS.findall(tree.read(root, "up"))
    commands = subprocess.run(["ninja", "-C", arguments.build, "-t", "commands", *targets.split()],
                              check=True, capture_output=True, text=True).stdout
    made = set(re.findall(r" -o (\S+)", commands))
    text = tree.read(root, "README.md")
    named = list(PROGRAM.finditer(text))
    violations = [f"README.md:{text.count(chr(10), 0, match.start()) + 1}: ./up does not build {match.group(1)}"
                  for match in named if match.group(1) not in made]
    tree.finish("walk", violations, f"{len(named)} programs")


if __name__ == "__main__":
    main()
