# SPDX-License-Identifier: Apache-2.0
"""The folder outside the tree in which kernels are kept, and the making of things in it once.

It can be removed at any time: what is missing is fetched or built again.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile


def folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = pathlib.Path(base) / "clustix" / "vm"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(name):
    """Held by one process at a time, and freed when that process ends, however it ends."""
    with open(folder() / f".{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def once(name, make):
    """The folder `name` of the cache. If it is not there, make(scratch) fills a folder that becomes it:
    whoever is interrupted leaves nothing half made behind."""
    path = folder() / name
    with lock(name):
        if path.exists():
            return path
        scratch = pathlib.Path(tempfile.mkdtemp(dir=folder(), prefix=".making-"))
        try:
            scratch.chmod(0o755)
            make(scratch)
            os.rename(scratch, path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return path
