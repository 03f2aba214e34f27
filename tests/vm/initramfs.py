# SPDX-License-Identifier: Apache-2.0
"""The file system of a machine under test: busybox, the agent, programs with their libraries, modules.

Programs lie in /usr/bin, and modules that a test loads itself in /modules/NAME.ko. Modules of the
kernel's own package are loaded at boot.
"""

import pathlib
import re
import shutil
import subprocess

import kernels

# Without these a stock kernel has no network card.
NETWORK = ("virtio_pci", "virtio_net")
# busybox's own know no netem and no namespaces.
TOOLS = ("tc", "ip")

INIT = """#!/bin/busybox sh
export PATH=/usr/bin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
[ -d /sys/kernel/debug ] && mount -t debugfs debug /sys/kernel/debug
while read -r module; do
    insmod "/boot-modules/$module" || echo "init: cannot load $module"
done </boot-modules/order
hostname "$vm_name"
ip link set lo up
if [ -n "$vm_address" ]; then
    ip address add "$vm_address" dev eth0
    ip link set eth0 up
fi
ulimit -n 65536
cd /tmp
exec /bin/agent /dev/ttyS1
"""


# Hands over to the system on a disk.
DISK_INIT = """#!/bin/busybox sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/boot-modules/$module" || echo "init: cannot load $module"
done </boot-modules/order
mount -t ext4 /dev/vda /root
umount /proc
mount --move /dev /root/dev
exec switch_root /root /sbin/init
"""
DISK = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")


def _libraries(program):
    """Absolute paths of the shared objects that a program loads, its loader included."""
    listing = subprocess.run(["ldd", str(program)], capture_output=True, text=True)
    return re.findall(r"(/\S+) \(0x", listing.stdout)


def _install(root, program):
    """A program without its debugging symbols, which are most of it, and its libraries."""
    subprocess.run(["strip", "--strip-debug", "-o", str(root / "usr/bin" / program.name), str(program)],
                   check=True)
    for library in _libraries(program):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(library, target)


def _busybox(root):
    busybox = shutil.which("busybox")
    shutil.copy(busybox, root / "bin/busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for applet in set(applets.stdout.split()) - {"busybox"}:
        (root / "bin" / applet).symlink_to("busybox")


def _pack(root, image):
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with open(image, "wb") as to:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(),
                       stdout=to, check=True)


def _add_boot_modules(root, kernel, names):
    order = []
    for path in kernel.module_files(*names):
        order.append(path.name.removesuffix(".xz"))
        (root / "boot-modules" / order[-1]).write_bytes(kernels.content(path))
    (root / "boot-modules/order").write_text("".join(f"{name}\n" for name in order))


def _begin(folder, init, *more):
    root = pathlib.Path(folder) / "root"
    for name in ("bin", "proc", "dev", "boot-modules", *more):
        (root / name).mkdir(parents=True)
    _busybox(root)
    (root / "init").write_text(init)
    (root / "init").chmod(0o755)
    return root


def _end(root, folder):
    image = pathlib.Path(folder) / "initramfs"
    _pack(root, image)
    shutil.rmtree(root)
    return image


def make(kernel, folder, agent, programs=(), modules=(), load=(), files=None):
    """An image in `folder` for a machine that runs `kernel`.

    agent     the program agent.c
    programs  paths
    modules   files of modules that the test loads itself
    load      names of the kernel's own modules to load at boot, besides the network card's
    files     what else is to be there: paths in the machine, and of what is to be copied
    """
    root = _begin(folder, INIT, "usr/bin", "etc", "sys", "tmp", "run", "modules")
    shutil.copy(agent, root / "bin/agent")
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    for program in [pathlib.Path(shutil.which(tool)) for tool in TOOLS] + list(programs):
        _install(root, pathlib.Path(program))
    for module in modules:
        shutil.copy(module, root / "modules")
    for path, source in (files or {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / path)
    _add_boot_modules(root, kernel, (*NETWORK, *load))
    return _end(root, folder)


def make_for_disk(kernel, folder):
    """An image in `folder` for a machine whose system is the file system ext4 of its disk."""
    root = _begin(folder, DISK_INIT, "root")
    _add_boot_modules(root, kernel, DISK)
    return _end(root, folder)
