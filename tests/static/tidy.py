#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy finds nothing in the project's C and C++ files, with the checks of .clang-tidy.

By itself it looks at what the compiler compiles, and where that is several files as one, at these as one:
headers take longer than the files themselves. The static analyzer, which has an eye for the main file alone
and takes longer still, is then left out. With CLUSTIX_TIDY=changed in the environment, as ./check --quick has
it, only files that differ from the main branch are looked at, and with CLUSTIX_TIDY=each all, but each by
itself and with the static analyzer; so one that lacks an #include is found, too.

What was clean stays clean while it, the headers of the project that it includes, its compile command and
the checks stay as they were: such results are kept in the user's cache folder, by a hash of all these.
"""

import concurrent.futures
import functools
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import tree

UNITY_INCLUDE = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)
CHECKS = re.compile(r"^Checks: '([^'\n]+)'$", re.MULTILINE)
CAPNP_IMPORT = re.compile(r'^using .*\bimport "([^"]+)"', re.MULTILINE)


def changed_files(root):
    """What differs from where this branch left main, plus what git does not know yet."""
    def git(*args):
        run = subprocess.run(["git", "-C", root, *args], capture_output=True, text=True)
        return run.stdout.split("\n") if run.returncode == 0 else []

    base = next((line for branch in ("origin/main", "main")
                 for line in git("merge-base", "HEAD", branch) if line), "HEAD")
    return set(git("diff", "--name-only", base) + git("ls-files", "--others", "--exclude-standard"))


def version_hash():
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True)
    return hashlib.sha256(version.stdout.encode())


@functools.cache
def checks(root, folder):
    """The checks for a folder's files: a folder's own go on from those above it."""
    above = checks(root, os.path.dirname(folder)) if folder else ""
    file = os.path.join(folder, ".clang-tidy")
    return above + (tree.read(root, file) if os.path.isfile(os.path.join(root, file)) else "")


def sources(entry, root, build):
    """The files of the project that a compile command compiles, relative to root; generated ones are not."""
    path = os.path.abspath(os.path.join(entry["directory"], entry["file"]))
    paths = [path]
    if os.path.basename(os.path.dirname(path)) == "Unity":
        with open(path, encoding="utf-8") as file:
            paths = UNITY_INCLUDE.findall(file.read())
    return [os.path.relpath(p, root) for p in paths
            if p.startswith(root + "/") and not p.startswith(build + "/")]


@functools.cache
def includes(root, path):
    """What of the project a file includes; a schema stands for the header that is made of it."""
    text = tree.read(root, path)
    names = [name for _, name in tree.INCLUDE.findall(text)] + CAPNP_IMPORT.findall(text)
    found = (tree.resolve(root, path, name) for name in names)
    return [name.replace(".capnp.h", ".capnp") for name in found if name is not None]


def closure(root, path):
    """The file and all of the project that it includes, directly or not, whatever #if says."""
    found, left = set(), [path]
    while left:
        one = left.pop()
        if one in found or not os.path.isfile(os.path.join(root, one)):
            continue
        found.add(one)
        left += includes(root, one)
    return sorted(found)


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(base, "clustix", "tidy")
    os.makedirs(folder, exist_ok=True)
    return folder


class Look:
    """One run of clang-tidy: over what a compile command compiles, or over one of its files alone."""

    def __init__(self, entry, files, root, build, alone):
        self.files, self.root, self.directory = files, root, entry["directory"]
        self.name = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
        # Flags that gcc knows and clang does not are no matter of the code.
        options = ["clang-tidy", "--quiet", "--extra-arg=-Wno-unknown-warning-option"]
        if alone:
            command = shlex.split(entry["command"])
            first = next(i for i, word in enumerate(command) if word.startswith("-"))
            last = next(i for i, word in enumerate(command) if word in ("-o", "-c"))
            self.command = options + [os.path.join(root, files[0]), "--"] + command[first:last]
        else:
            # A unity file lies in the build folder, above which no folder's own checks would be found.
            own = CHECKS.findall(checks(root, os.path.dirname(files[0])))
            self.command = options + [f"--config-file={os.path.join(root, '.clang-tidy')}", "-p", build,
                                      f"--checks={','.join([*own, '-clang-analyzer-*'])}", entry["file"]]

    def digest(self, version):
        digest = version.copy()
        for text in (checks(self.root, os.path.dirname(self.files[0])), *self.command):
            digest.update(text.replace(self.root, "").encode() + b"\0")
        for file in sorted(set().union(*(closure(self.root, file) for file in self.files))):
            digest.update(file.encode() + b"\0" + tree.read(self.root, file).encode() + b"\0")
        return digest.hexdigest()

    def run(self, version, cache):
        """The output of clang-tidy, or None when everything is clean."""
        clean = os.path.join(cache, self.digest(version))
        if os.path.exists(clean):
            return None
        run = subprocess.run(self.command, capture_output=True, text=True, cwd=self.directory)
        if run.returncode == 0 and "warning:" not in run.stdout:
            open(clean, "w", encoding="ascii").close()
            return None
        return run.stdout + run.stderr


def main():
    parser = tree.arguments(__doc__)
    parser.add_argument("--build", required=True, help="a configured build folder")
    args = parser.parse_args()
    root, build = os.path.abspath(args.root), os.path.abspath(args.build)
    if not shutil.which("clang-tidy"):
        tree.skip("clang-tidy is not installed")

    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = [(entry, found) for entry in json.load(file) if (found := sources(entry, root, build))]
    extent = os.environ.get("CLUSTIX_TIDY", "")
    if extent in ("changed", "each"):
        changed = changed_files(root) if extent == "changed" else None
        looks = {file: Look(entry, [file], root, build, alone=True) for entry, files in entries
                 for file in files if changed is None or file in changed}.values()
    elif extent == "":
        looks = {entry["file"]: Look(entry, files, root, build, alone=False) for entry, files in entries}.values()
    else:
        sys.exit(f"tidy: CLUSTIX_TIDY is {extent}, which is neither changed nor each")

    version, cache = version_hash(), cache_folder()
    violations = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {pool.submit(look.run, version, cache): look for look in looks}
        for run in concurrent.futures.as_completed(runs):
            if (output := run.result()) is not None:
                print(output)
                violations.append(f"{runs[run].name}: clang-tidy complains")
    tree.finish("tidy", sorted(violations), f"{sum(len(look.files) for look in looks)} files")


if __name__ == "__main__":
    main()
