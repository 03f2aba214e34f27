#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs test programs on a stock Debian kernel in a virtual machine.

    vm.py --kernel linux-image-cloud-amd64 PROGRAM...

Fetches the kernel's package (download, not install) into a cache outside the tree, packs the programs
with their libraries and busybox into an initramfs, boots it in QEMU without KVM, and runs each program
as root with the loopback up. Fails if a program fails, or if the kernel complains. Ends with 77, a skip,
where QEMU is missing or the package cannot be had.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
BOOT_SECONDS = 600  # for everything; QEMU without KVM is 10 to 30 times slower than the machine
SPLAT = re.compile(r"BUG:|WARNING:|Oops|Call Trace|Kernel panic|general protection|UBSAN|refcount_t")

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox ip link set lo up
/bin/busybox uname -r
ulimit -n 65536
for program in /tests/*; do
    cd /tmp
    $program
    echo "vm: $(/bin/busybox basename $program) ended with $?"
done
/bin/busybox dmesg -n 8
echo "vm: done"
/bin/busybox poweroff -f
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = pathlib.Path(base) / "clustix" / "vm"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def kernel_image(meta_package):
    """The vmlinuz of the package that the meta package depends on now."""
    try:
        package = re.search(r"Depends: (linux-image-\S+)", output("apt-cache", "depends", meta_package))[1]
        version = re.search(r"Candidate: (\S+)", output("apt-cache", "policy", package))[1]
    except (subprocess.CalledProcessError, FileNotFoundError, TypeError):
        skip(f"{meta_package} is not known here; apt-get update first")
    folder = cache() / f"{package}_{version.replace(':', '_')}"
    found = list(folder.glob("boot/vmlinuz-*"))
    if found:
        return found[0]
    with tempfile.TemporaryDirectory(dir=cache()) as scratch:
        try:
            output("env", f"--chdir={scratch}", "apt-get", "download", "-q", package)
        except subprocess.CalledProcessError as error:
            skip(f"{package} cannot be downloaded: {error.stderr.strip()}")
        extracted = pathlib.Path(scratch) / "extracted"
        output("dpkg-deb", "-x", str(next(pathlib.Path(scratch).glob("*.deb"))), str(extracted))
        folder.mkdir(exist_ok=True)
        (folder / "boot").mkdir(exist_ok=True)
        image = next(extracted.glob("boot/vmlinuz-*"))
        os.replace(image, folder / "boot" / image.name)
        return folder / "boot" / image.name


def libraries(program):
    """Absolute paths of the shared objects that a program loads, its loader included."""
    return re.findall(r"(/\S+) \(0x", output("ldd", str(program)))


def initramfs(programs, root):
    for folder in ("bin", "tests", "etc"):
        (root / folder).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
    (root / "bin" / "sh").symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    for program in programs:
        shutil.copy(program, root / "tests")
        for library in libraries(program):
            to = root / library.lstrip("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            if not to.exists():
                shutil.copy(library, to)
    image = root.parent / "initramfs"
    names = "\n".join(str(path.relative_to(root)) for path in root.rglob("*"))
    with open(image, "wb") as to:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(),
                       stdout=to, check=True)
    return image


def boot(kernel, image):
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
               "-m", "1024", "-nographic", "-no-reboot", "-nic", "none", "-kernel", str(kernel),
               "-initrd", str(image), "-append", "console=ttyS0 panic=-1 loglevel=5"]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=BOOT_SECONDS).stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        return late.stdout.decode(errors="replace") + f"\nvm: no end within {BOOT_SECONDS} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kernel", required=True, help="Debian's meta package of the kernel")
    parser.add_argument("programs", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    for tool in ("qemu-system-x86_64", "busybox", "cpio"):
        if not shutil.which(tool):
            skip(f"{tool} is not installed")
    kernel = kernel_image(arguments.kernel)
    with tempfile.TemporaryDirectory() as scratch:
        console = boot(kernel, initramfs(arguments.programs, pathlib.Path(scratch) / "root"))

    failures = [f"{program.name} did not end with 0" for program in arguments.programs
                if f"vm: {program.name} ended with 0" not in console]
    failures += [f"the kernel said: {line}" for line in console.splitlines() if SPLAT.search(line)]
    if "vm: done" not in console:
        failures.append("the machine did not reach its end")
    if failures:
        print(console)
    for failure in failures:
        print(f"FAILED: {failure}")
    if not failures:
        passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", console))
        print(f"{kernel.name}: {passed} tests passed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
