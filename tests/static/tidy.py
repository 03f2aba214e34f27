#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy finds nothing in the project's C and C++ files, with the checks of .clang-tidy.

--changed, or CLUSTIX_TIDY=changed in the environment, looks only at the files that differ from the
main branch, for ./check --quick.

A file that was clean stays clean while it, the headers of the project that it includes, its compile
command and the checks stay as they were: such results are kept in the user's cache folder, by a hash of
all these.
"""

import concurrent.futures
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess

import tree

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


def run_one(entry, build, root, version, cache):
    """(path, output of clang-tidy or None when it is clean)."""
    path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), root)
    digest = version.copy()
    digest.update(checks(root, os.path.dirname(path)).encode())
    digest.update(entry["command"].replace(root, "").encode())
    for file in closure(root, path):
        digest.update(file.encode() + b"\0" + tree.read(root, file).encode() + b"\0")
    clean = os.path.join(cache, digest.hexdigest())
    if os.path.exists(clean):
        return path, None
    # Flags that gcc knows and clang does not are no matter of the code.
    run = subprocess.run(["clang-tidy", "--quiet", "-p", build, "--extra-arg=-Wno-unknown-warning-option",
                          os.path.join(root, path)], capture_output=True, text=True, cwd=root)
    if run.returncode == 0 and "warning:" not in run.stdout:
        open(clean, "w", encoding="ascii").close()
        return path, None
    return path, run.stdout + run.stderr


def main():
    parser = tree.arguments(__doc__)
    parser.add_argument("--build", required=True, help="a configured build folder")
    parser.add_argument("--changed", action="store_true")
    args = parser.parse_args()
    root = os.path.abspath(args.root)
    if not shutil.which("clang-tidy"):
        tree.skip("clang-tidy is not installed")

    with open(os.path.join(args.build, "compile_commands.json"), encoding="utf-8") as file:
        entries = {entry["file"]: entry for entry in json.load(file)
                   if os.path.abspath(entry["file"]).startswith(root + "/")
                   and not os.path.abspath(entry["file"]).startswith(os.path.abspath(args.build) + "/")}
    if args.changed or os.environ.get("CLUSTIX_TIDY") == "changed":
        changed = changed_files(root)
        entries = {f: e for f, e in entries.items() if os.path.relpath(f, root) in changed}

    version, cache = version_hash(), cache_folder()
    violations = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(run_one, e, args.build, root, version, cache) for e in entries.values()]
        for run in concurrent.futures.as_completed(runs):
            path, output = run.result()
            if output is not None:
                print(output)
                violations.append(f"{path}: clang-tidy complains")
    tree.finish("tidy", sorted(violations), f"{len(entries)} files")


if __name__ == "__main__":
    main()
