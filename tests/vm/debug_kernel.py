#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The debug kernel: Debian's linux-source with KASAN, lockdep, kmemleak and failslab, built once and kept
in the cache. As a program it builds it, which takes about 17 minutes of a core once, and says how far it is;
interrupted, it goes on where it stopped.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import cache
import debian

SOURCE = "linux-source-6.1"
CONFIG = pathlib.Path(__file__).with_name("debug-kernel.config")
TOOLS = ("make", "gcc", "flex", "bison", "bc", "xz")
# What a module is built from.
KEPT = ("arch", "include", "scripts", "tools")
SKIP = 77
# Compiled files of a whole build, for the progress lines alone.
ABOUT_FILES = 1400
PROGRESS_SECONDS = 20


def folder():
    """Where the kernel of this configuration, this source and this compiler is, or will be."""
    version = debian.version(SOURCE)
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True).stdout
    key = hashlib.sha256(CONFIG.read_bytes() + compiler.encode()).hexdigest()[:12]
    return cache.folder() / f"debug-{SOURCE}_{version}_{key}"


def is_built():
    return (folder() / "built").exists()


def _make(tree, *arguments, **options):
    compiler = "ccache gcc" if shutil.which("ccache") else "gcc"
    command = ["make", "-C", str(tree), f"-j{os.cpu_count()}", f"CC={compiler}",
               # The same objects for ccache whenever and by whomever they are built.
               "KBUILD_BUILD_TIMESTAMP=1970-01-01", "KBUILD_BUILD_USER=clustix",
               "KBUILD_BUILD_HOST=clustix", *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **options)


def _run(tree, *arguments):
    process = _make(tree, *arguments)
    output = process.communicate()[0]
    if process.returncode != 0:
        sys.exit(f"debug kernel: make {' '.join(arguments)} failed:\n{output[-4000:]}")


def _fetch(tree):
    """The source, without what no x86 kernel is built from."""
    package = cache.once(f"{SOURCE}_{debian.version(SOURCE)}",
                         lambda to: debian.unpack(SOURCE, debian.version(SOURCE), to))
    shutil.rmtree(tree, ignore_errors=True)
    scratch = tree.with_suffix(".unpacking")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    subprocess.run(["tar", "-xf", str(next(package.glob("usr/src/*.tar.xz"))), "-C", str(scratch),
                    "--strip-components=1", "--exclude=*/Documentation/[a-z]*",
                    "--exclude=*/tools/testing"], check=True)
    os.rename(scratch, tree)


def _configure(tree):
    _run(tree, "tinyconfig")
    subprocess.run(["scripts/kconfig/merge_config.sh", "-m", ".config", str(CONFIG)], cwd=tree,
                   check=True, stdout=subprocess.DEVNULL)
    _run(tree, "olddefconfig")
    # Kconfig drops what depends on something missing, without a word.
    got = set((tree / ".config").read_text().splitlines())
    dropped = [line for line in CONFIG.read_text().splitlines()
               if line.startswith("CONFIG_") and line not in got]
    if dropped:
        sys.exit(f"debug kernel: these options did not stay: {', '.join(dropped)}")


def _compile(tree):
    process = _make(tree, "bzImage", "modules")
    began = told = time.monotonic()
    compiled, tail = 0, []
    for line in process.stdout:
        compiled += bool(re.match(r"\s+(CC|AS)\s", line))
        tail = tail[-60:] + [line]
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS:
            told = now
            print(f"debug kernel: {compiled} of about {ABOUT_FILES} files compiled in "
                  f"{now - began:.0f} s", flush=True)
    if process.wait() != 0:
        sys.exit("debug kernel: the build failed:\n" + "".join(tail))


def _prune(tree):
    """Removes what modules are not built from: nearly all of it."""
    for folder in [path for path in tree.iterdir() if path.is_dir() and path.name not in KEPT] + [
            path for path in (tree / "arch").iterdir() if path.is_dir() and path.name != "x86"]:
        shutil.rmtree(folder)
    for path in [*tree.glob("vmlinux*"), *tree.glob("arch/x86/**/*.o")]:
        path.unlink()


def build():
    """Builds it unless it is there. Returns the folder: a kernel's build tree."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        raise debian.Unavailable(f"not installed: {', '.join(missing)}")
    tree = folder()
    with cache.lock("debug-kernel"):
        if is_built():
            return tree
        if not (tree / "Makefile").exists():
            print(f"debug kernel: unpacking {SOURCE} into {tree}", flush=True)
            _fetch(tree)
        _configure(tree)
        _compile(tree)
        _prune(tree)
        (tree / "built").touch()
    return tree


def main():
    try:
        print(f"debug kernel: {build()}")
    except debian.Unavailable as why:
        print(f"debug kernel: not built: {why}")
        sys.exit(SKIP)


if __name__ == "__main__":
    main()
