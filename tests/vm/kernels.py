# SPDX-License-Identifier: Apache-2.0
"""The kernels of the tests: their images, their modules and what modules are built against.

    stock("6.1"), stock("6.12")   Debian's cloud kernels, unpacked from their packages into the cache
    debug()                       the debug kernel of debug_kernel.py, when it has been built
"""

import dataclasses
import functools
import lzma
import pathlib
import re

import cache
import debian
import debug_kernel

# Debian's meta packages; each depends on the newest kernel of its series.
STOCK = {"6.1": "linux-image-cloud-amd64", "6.12": "linux-image-6.12-cloud-amd64"}
DEBUG = "debug"


@dataclasses.dataclass(frozen=True)
class Kernel:
    name: str             # "6.1", "6.12", "debug"
    release: str          # what uname -r says
    image: pathlib.Path
    build: pathlib.Path   # `make -C build M=...`
    modules: pathlib.Path | None  # the package's lib/modules/RELEASE; None: all is built in

    def module_files(self, *names):
        """The files of these modules and of all they depend on, in the order to load them."""
        ordered = []
        if self.modules:
            for name in names:
                self._add(name, ordered)
        return ordered

    def _add(self, name, ordered):
        path = self._find(name)
        if path is None or path in ordered:
            return
        for needed in depends(path):
            self._add(needed, ordered)
        ordered.append(path)

    def _find(self, name):
        """The module's file; None if it is built in. Names may be written with - or _."""
        pattern = re.compile(rf"{re.sub('[-_]', '[-_]', name)}\.ko(\.xz)?")
        for path in self.modules.rglob("*.ko*"):
            if pattern.fullmatch(path.name):
                return path
        builtin = (self.modules / "modules.builtin").read_text()
        if re.search(rf"/{re.sub('[-_]', '[-_]', name)}\.ko$", builtin, re.MULTILINE):
            return None
        raise FileNotFoundError(f"Linux {self.release} has no module {name}")


@functools.cache
def content(path):
    """A module as the kernel wants it: not compressed."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


@functools.cache
def depends(path):
    """The names in the depends= of the module's .modinfo."""
    found = re.search(rb"\0depends=([^\0]*)\0", content(path))
    return [name for name in found[1].decode().split(",") if name] if found else []


def _unpack(image_package, version, to):
    """The image, and the headers with what their scripts need, under `to` as they would be under /."""
    release = image_package.removeprefix("linux-image-")
    headers = f"linux-headers-{release}"
    packages = [image_package, headers] + [
        name for name in debian.dependencies(headers)
        if name.startswith(("linux-headers-", "linux-kbuild-"))]
    for package in packages:
        debian.unpack(package, version, to)
    # Links within the headers are relative; this is the one absolute path.
    makefile = to / "usr/src" / headers / "Makefile"
    makefile.write_text("include $(dir $(lastword $(MAKEFILE_LIST)))../"
                        + makefile.read_text().split("/usr/src/")[1])


def _kept(series):
    """The newest kernel of the series in the cache, for when apt does not know it."""
    pattern = {"6.1": "linux-image-6.1.*", "6.12": "linux-image-6.12.*"}[series]
    found = [path for path in cache.folder().glob(pattern) if any(path.glob("usr/src/*/.config"))]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def stock(series):
    """Debian's cloud kernel of a series; raises debian.Unavailable where it cannot be had."""
    try:
        package = next(name for name in debian.dependencies(STOCK[series])
                       if name.startswith("linux-image-"))
        version = debian.version(package)
        root = cache.once(f"{package}_{version.replace(':', '_')}_build",
                          lambda to: _unpack(package, version, to))
    except debian.Unavailable:
        root = _kept(series)
        if root is None:
            raise
    image = next(root.glob("boot/vmlinuz-*"))
    release = image.name.removeprefix("vmlinuz-")
    modules = next(path for path in (root / "lib/modules" / release, root / "usr/lib/modules" / release)
                   if (path / "kernel").exists())
    return Kernel(series, release, image, root / f"usr/src/linux-headers-{release}", modules)


def debug():
    if not debug_kernel.is_built():
        raise debian.Unavailable("the debug kernel is not built: tests/vm/debug_kernel.py builds it")
    build = debug_kernel.folder()
    release = (build / "include/config/kernel.release").read_text().strip()
    return Kernel(DEBUG, release, build / "arch/x86/boot/bzImage", build, None)


@functools.cache
def get(name):
    return debug() if name == DEBUG else stock(name)
