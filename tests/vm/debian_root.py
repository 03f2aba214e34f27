# SPDX-License-Identifier: Apache-2.0
"""Debian 12 with systemd, as somebody would install it: a folder to install into, and a disk to boot from."""

import hashlib
import os
import pathlib
import shutil
import subprocess

import cache
import debian

SUITE = "bookworm"
# Beside what Debian cannot do without.
BASE = ("systemd-sysv", "udev", "kmod", "procps",
        "libelf1")  # for objtool, which comes with the kernel's headers and not as a package
DISK_MIB = 1536

# The machine's agent (agent.c), as a service of a booted system.
AGENT_UNIT = """[Unit]
Description=What the host tells this machine to do
[Service]
ExecStart=/usr/local/sbin/vm-agent /dev/ttyS1
WorkingDirectory=/tmp
[Install]
WantedBy=multi-user.target
"""


def _make(packages, to):
    made = subprocess.run(
        ["mmdebstrap", "--mode=root", "--variant=minbase", "--aptopt=APT::Install-Recommends false",
         "--aptopt=Acquire::Retries 3", "--dpkgopt=path-exclude=/usr/share/locale/*",
         f"--include={','.join(packages)}", SUITE, str(to / "root.tar")],
        capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if made.returncode != 0:
        raise debian.Unavailable(f"mmdebstrap: {made.stderr[-2000:].strip()}")


def fetch(packages):
    """The archive of a system with these packages and all that they depend on. Kept by their names: what
    apt has newer by now is no reason to fetch everything again."""
    missing = [tool for tool in ("mmdebstrap", "mke2fs") if not shutil.which(tool)]
    if missing:
        raise debian.Unavailable(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        raise debian.Unavailable("a Debian system is made as root")
    wanted = sorted({*BASE, *packages})
    key = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:12]
    return cache.once(f"debian-{SUITE}_{key}", lambda to: _make(wanted, to)) / "root.tar"


class Root:
    """A system unpacked into a folder."""

    def __init__(self, archive, folder):
        self.path = pathlib.Path(folder) / "root"
        self.path.mkdir()
        subprocess.run(["tar", "-xf", str(archive), "-C", str(self.path), "--numeric-owner"], check=True)

    def add_kernel(self, kernel):
        """Its modules, and the headers as their package would install them."""
        packages = kernel.build.parents[2]
        modules = self.path / "usr/lib/modules" / kernel.release
        shutil.copytree(kernel.modules, modules, symlinks=True)
        shutil.copytree(packages / "usr/src", self.path / "usr/src", symlinks=True, dirs_exist_ok=True)
        shutil.copytree(packages / "usr/lib", self.path / "usr/lib", symlinks=True, dirs_exist_ok=True)
        shutil.copy(packages / f"boot/config-{kernel.release}", self.path / "boot")
        self.do(f"depmod {kernel.release}")

    def add_agent(self, agent):
        shutil.copy(agent, self.path / "usr/local/sbin/vm-agent")
        (self.path / "etc/systemd/system/vm-agent.service").write_text(AGENT_UNIT)
        self.do("systemctl enable vm-agent.service")

    def do(self, command):
        """Runs a command of the shell in it, which must succeed; what it printed."""
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-c",
             'mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && '
             'exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive '
             'chroot "$1" sh -c "$2"', "sh", str(self.path), command],
            capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def disk(self, path):
        """Writes it as a disk, with some room."""
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", str(self.path), str(path),
                        f"{DISK_MIB}M"], check=True, stdout=subprocess.DEVNULL)
        return path
