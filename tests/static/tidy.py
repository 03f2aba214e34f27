#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy finds nothing in the project's C and C++ files, with the checks of .clang-tidy.

--changed, or CLUSTIX_TIDY=changed in the environment, looks only at the files that differ from the
main branch, for ./check --quick.

A file that was clean stays clean while it, the headers of the project, its compile command and the
checks stay as they were: such results are kept in the user's cache folder, by a hash of all these.
"""

import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess

import tree


def changed_files(root):
    """What differs from where this branch left main, plus what git does not know yet."""
    def git(*args):
        run = subprocess.run(["git", "-C", root, *args], capture_output=True, text=True)
        return run.stdout.split("\n") if run.returncode == 0 else []

    base = next((line for branch in ("origin/main", "main")
                 for line in git("merge-base", "HEAD", branch) if line), "HEAD")
    return set(git("diff", "--name-only", base) + git("ls-files", "--others", "--exclude-standard"))


def header_hash(root):
    digest = hashlib.sha256()
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True)
    digest.update(version.stdout.encode())
    for path in tree.files(root, [".h", ".capnp"]) + [".clang-tidy"]:
        digest.update(path.encode() + b"\0" + tree.read(root, path).encode() + b"\0")
    return digest


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(base, "clustix", "tidy")
    os.makedirs(folder, exist_ok=True)
    return folder


def run_one(entry, build, root, headers, cache):
    """(path, output of clang-tidy or None when it is clean)."""
    path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), root)
    digest = headers.copy()
    digest.update(entry["command"].replace(root, "").encode())
    digest.update(tree.read(root, path).encode())
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

    headers, cache = header_hash(root), cache_folder()
    violations = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(run_one, e, args.build, root, headers, cache) for e in entries.values()]
        for run in concurrent.futures.as_completed(runs):
            path, output = run.result()
            if output is not None:
                print(output)
                violations.append(f"{path}: clang-tidy complains")
    tree.finish("tidy", sorted(violations), f"{len(entries)} files")


if __name__ == "__main__":
    main()
