# SPDX-License-Identifier: Apache-2.0
"""What the static checks share: the files of the source tree, and how a violation is reported.

Every check is a program of its own, run by ctest under the label `static`. It takes --root, so that
test_checks.py can point it at a small tree with a planted violation; it prints one line
`path:line: what is wrong` per violation, and exits 0 (clean), 1 (violations) or 77 (skipped).
"""

import argparse
import os
import re
import subprocess
import sys

SKIPPED = 77
SOURCE_SUFFIXES = (".c", ".h", ".cc")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser.add_argument("--root", default=default, help="the source tree (default: this one)")
    return parser


def files(root, suffixes=None):
    """Paths relative to root: what git tracks or would track; of a tree without git, all files."""
    git = subprocess.run(
        ["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True, text=True)
    if git.returncode == 0 and os.path.exists(os.path.join(root, ".git")):
        found = [path for path in git.stdout.split("\0") if path]
    else:
        found = []
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if f != ".git" and not f.startswith("build")]
            found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    # A file deleted but not yet committed is still listed by git.
    found = [path for path in found if os.path.isfile(os.path.join(root, path))]
    return sorted(p for p in found if suffixes is None or p.endswith(tuple(suffixes)))


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def resolve(root, path, name):
    """The path of a project header as an #include in `path` names it; None: somebody else's."""
    for base in (os.path.dirname(path), "", "include"):
        candidate = os.path.normpath(os.path.join(base, name))
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    if name.startswith(("lib/", "daemon/", "proto/", "kmod/", "tests/")):
        return name  # generated, or missing: the folder is what matters
    if name.startswith("clustix/"):
        return "include/" + name
    return None


def finish(what, violations, checked):
    """Prints the violations and ends the program."""
    for violation in violations:
        print(violation)
    if violations:
        print(f"{what}: {len(violations)} violations")
        sys.exit(1)
    print(f"{what}: {checked} checked, none wrong")
    sys.exit(0)


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(SKIPPED)
