#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lib/session and kmod build as kernel code: the top-level Kbuild, run by the kernel's own build system on
every set of Debian kernel headers installed here, with extra warnings (W=1) and all of them errors, those of
sparse (C=1) too: which pointers and integers are of programs or of the wire, which locks are held.

The sources are copied first: Kbuild leaves its objects beside them.
"""

import glob
import os
import re
import shutil
import subprocess

import tree

# In the order of their versions; the newest of each series (6.1, 6.12) is built against.
HEADERS = "/usr/src/linux-headers-*-amd64"
ALLOWED = {"memcpy", "memmove", "memset", "memcmp",
           # What the kernel's compiler flags add to every object.
           "__fentry__", "__x86_return_thunk", "__stack_chk_fail",
           # What the kernel's checked memcpy calls when it is about to overrun a field.
           "__warn_printk", "fortify_panic", "__fortify_panic"}
ALLOWED_PREFIX = "__x86_indirect_thunk_"


def series_of(headers):
    """("6.1", sort key) of a headers folder."""
    numbers = re.findall(r"\d+", os.path.basename(headers))
    return ".".join(numbers[:2]), [int(n) for n in numbers]


def newest_headers(pattern):
    newest = {}
    for headers in glob.glob(pattern):
        series, key = series_of(headers)
        if series not in newest or key > series_of(newest[series])[1]:
            newest[series] = headers
    return newest


def kbuild_objects(root):
    """The objects under lib/session that Kbuild names."""
    if not os.path.exists(os.path.join(root, "Kbuild")):
        return set()
    return set(re.findall(r"\blib/session/\w+\.o\b", tree.read(root, "Kbuild")))


def copy_sources(root, to):
    shutil.rmtree(to, ignore_errors=True)
    os.makedirs(to)
    for path in tree.files(root):
        if path == "Kbuild" or path.startswith(("lib/session/", "include/uapi/", "kmod/")):
            os.makedirs(os.path.dirname(os.path.join(to, path)), exist_ok=True)
            shutil.copy(os.path.join(root, path), os.path.join(to, path))


def build(headers, folder, objects):
    """Violations of one build against one set of headers."""
    compiler = "ccache gcc" if shutil.which("ccache") else "gcc"
    sparse = ["C=1", "CF=-Wsparse-error"] if shutil.which("sparse") else []
    make = subprocess.run(
        ["make", "-C", headers, f"M={folder}", f"CC={compiler}", "W=1", "KCFLAGS=-Werror", *sparse,
         # Wants a file of the whole kernel, which headers do not have.
         "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if make.returncode != 0:
        print(make.stdout + make.stderr)
        return [f"{headers}: the modules do not build"]
    missing = [o for o in sorted(objects) if not os.path.exists(os.path.join(folder, o))]
    if missing:
        return [f"{headers}: Kbuild did not build {path}" for path in missing]
    paths = [os.path.join(folder, o) for o in sorted(objects)]
    whole = os.path.join(folder, "session.o")
    subprocess.run(["ld", "-r", *paths, "-o", whole], check=True)
    listing = subprocess.run(["nm", "-u", whole], capture_output=True, text=True, check=True)
    undefined = {line.split()[-1] for line in listing.stdout.splitlines() if line.strip()}
    return [f"{headers}: lib/session needs {symbol} from outside" for symbol in sorted(undefined)
            if symbol not in ALLOWED and not symbol.startswith(ALLOWED_PREFIX)]


def main():
    parser = tree.arguments(__doc__)
    parser.add_argument("--build", required=True, help="a folder for copies and objects")
    parser.add_argument("--headers", default=HEADERS, help="pattern of the headers' folders")
    args = parser.parse_args()
    root = os.path.abspath(args.root)

    objects = kbuild_objects(root)
    sources = {p[:-2] + ".o" for p in tree.files(root, [".c"]) if p.startswith("lib/session/")}
    violations = [] if sources else ["lib/session: no C source"]
    violations += [f"Kbuild: does not build {path[:-2]}.c" for path in sorted(sources - objects)]
    violations += [f"Kbuild: names {path}, which has no source" for path in sorted(objects - sources)]
    if violations:
        tree.finish("kernel build", violations, 0)

    newest = newest_headers(args.headers)
    if not newest:
        tree.skip("no kernel headers are installed (linux-headers-cloud-amd64)")
    for series, headers in sorted(newest.items()):
        folder = os.path.join(os.path.abspath(args.build), f"kbuild-{series}")
        copy_sources(root, folder)
        problems = build(headers, folder, objects)
        violations += problems
        print(f"{os.path.basename(headers)}: {'FAILED' if problems else 'built'}")
    if not violations and not shutil.which("sparse"):
        tree.skip("builds, but was not looked at: sparse is not installed")
    tree.finish("kernel build", violations, f"{len(objects)} objects, {len(newest)} kernels")


if __name__ == "__main__":
    main()
