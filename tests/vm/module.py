# SPDX-License-Identifier: Apache-2.0
"""Builds modules outside the kernel's tree, as DKMS does, against a kernel of kernels.py."""

import fcntl
import filecmp
import os
import pathlib
import shutil
import subprocess


class BuildFailed(Exception):
    """The kernel's build system refused the sources; the message has what it said."""


def _copy(source, folders, to):
    """Copies what changed: Kbuild leaves its objects beside the sources, and uses them again.
    Whether anything did."""
    wanted, changed = set(), False
    for name in folders:
        paths = [source / name] if (source / name).is_file() else (source / name).rglob("*")
        for path in paths:
            if path.suffix not in (".c", ".h") and path.name not in ("Kbuild", "Makefile"):
                continue
            target = to / path.relative_to(source)
            wanted.add(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or not filecmp.cmp(path, target, shallow=False):
                shutil.copy(path, target)
                changed = True
    for path in list(to.rglob("*.[ch]")):
        if path not in wanted and not path.name.endswith(".mod.c"):
            path.unlink()
            changed = True
    return changed


def build(kernel, source, folders, to, needs=()):
    """Builds `folders` of `source`, with its Kbuild, in the folder `to`; all warnings are errors.
    `needs`: folders of modules built before, whose symbols these use.
    Returns {name: path} of the modules."""
    to = pathlib.Path(to)
    to.mkdir(parents=True, exist_ok=True)
    with open(to / ".lock", "w") as lock:  # tests that run side by side share the folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build(kernel, pathlib.Path(source), folders, to, needs)


def _build(kernel, source, folders, to, needs):
    symbols = [pathlib.Path(folder) / "Module.symvers" for folder in needs]
    built = to / "built"  # younger than all that these modules were made of
    current = built.exists() and all(
        built.stat().st_mtime > path.stat().st_mtime for path in [kernel.build / ".config", *symbols])
    if _copy(source, folders, to) or not current:
        built.unlink(missing_ok=True)
        _make(kernel, to, symbols)
        built.touch()
    return {path.stem: path for path in sorted(to.rglob("*.ko"))}


def _make(kernel, folder, symbols):
    compiler = "ccache gcc" if shutil.which("ccache") else "gcc"
    # Paths below CCACHE_BASEDIR would become relative to the kernel's folder, and for CCACHE_NOHASHDIR those of
    # another folder be taken for them: Kbuild would look for headers in vain and not see that they have changed.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("CCACHE_BASEDIR", "CCACHE_NOHASHDIR")}
    make = subprocess.run(
        ["make", "-C", str(kernel.build), f"M={folder}", f"-j{os.cpu_count()}", f"CC={compiler}", "W=1",
         "KCFLAGS=-Werror",
         # Debian's headers ask for BTF of the whole kernel, which only its own build has.
         "CONFIG_DEBUG_INFO_BTF_MODULES=", "KBUILD_EXTRA_SYMBOLS=" + " ".join(map(str, symbols)), "modules"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)
    if make.returncode != 0:
        raise BuildFailed(f"for Linux {kernel.release}:\n{make.stdout}{make.stderr}")
