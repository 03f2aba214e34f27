#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The packages on Debian 12 with systemd: installed by apt without a network, the module built by DKMS, the
service started at boot, and removed without a trace."""

import json
import re
import subprocess
import sys
import tempfile

import debian
import debian_root
import kernels
import scenario

KERNEL = "6.1"
COMPILING_S = 1800
NAMES = ("clustix", "clustix-dkms", "libclustix-dev", "libclustix0")
AS_NOBODY = "setpriv --reuid=nobody --clear-groups"
TRACES = r"find / -xdev \( -name '*clustix*' -o -name '*kccm*' \) -not -path '/debs*' -not -path '/var/log/*'"


def packages():
    """The files that `ninja packages` has made."""
    found = sorted((scenario.build() / "packages").glob("*.deb"))
    if len(found) != len(NAMES):
        sys.exit(f"{len(found)} packages in {scenario.build()}/packages: make them first, with "
                 f"cmake --build {scenario.build()} --target packages")
    return found


def dependencies():
    """What they need of Debian; of alternatives, the first."""
    needed = set()
    for package in packages():
        fields = subprocess.run(["dpkg-deb", "-f", str(package), "Depends", "Recommends"], check=True,
                                capture_output=True, text=True).stdout
        needed |= set(re.findall(r"(?:: |, )([a-z0-9][a-z0-9.+-]+)", fields))
    return needed - set(NAMES)


def fetch():
    debian_root.fetch(dependencies())


class Installed(scenario.Scenario):
    def setUp(self):
        super().setUp()
        scratch = tempfile.TemporaryDirectory(prefix="clustix-install-")
        self.addCleanup(scratch.cleanup)
        try:
            archive = debian_root.fetch(dependencies())
        except debian.Unavailable as why:
            self.skipTest(str(why))
        self.folder = scratch.name
        self.root = debian_root.Root(archive, scratch.name)
        self.root.add_kernel(self.kernel(KERNEL))
        self.root.add_agent(scenario.program("clustix-vm-agent"))
        (self.root.path / "debs").mkdir()
        for package in packages():
            subprocess.run(["cp", str(package), str(self.root.path / "debs")], check=True)

    def boot_it(self):
        machine = self.boot_disk(KERNEL, self.root.disk(f"{self.folder}/disk"))
        # "degraded": some unit has failed. Which ones is asked next.
        machine.run("systemctl is-system-running --wait").wait()
        self.assertEqual(machine.do("systemctl --failed --plain --no-legend"), "")
        return machine

    def assert_serves(self, machine):
        machine.do("systemctl is-active clustixd.service")
        status = json.loads(machine.do("clustix status --json"))
        self.assertEqual(status["transport"]["name"], "kccm", status)
        self.assertEqual(status["proc_mount"], "/run/clustix/proc")
        first = str((1 << 22) + 1)  # systemd itself
        # Everybody sees it, in any program's mount namespace.
        self.assertIn(first, machine.do(f"{AS_NOBODY} ls /run/clustix/proc").split())
        self.assertIn("systemd", machine.do(f"clustix shell -- ps -p {first}"))
        self.assertIn("clustixd", machine.do("clustix ps"))
        # What the kernel shows of another user's process to nobody but a tracer, and lets nobody else signal.
        machine.do(f"{AS_NOBODY} sleep 4242 & "
                   "until clustix ps -o lpid,user,args | grep -q 'nobody *sleep'; do :; done; "
                   "readlink /run/clustix/proc/$((4194304 + $!))/exe | grep /usr/bin/sleep && "
                   "clustix kill $((4194304 + $!)) || { kill $!; exit 1; }; wait $!; test $? = 143")
        # Files of others, with the rights of who made the set.
        for name, user in (("nobody", AS_NOBODY), ("root", "")):
            machine.do(f"install -m 600 -o nobody /dev/null /var/tmp/{name} && "
                       f"{user} clustix set create vm/{name} --linker file:/var/tmp/{name} --placement creator && "
                       f"{user} clustix set put vm/{name} 0 written && "
                       f"until grep -q written /var/tmp/{name}; do :; done")
        self.assertRegex(machine.do("lsmod"), "(?m)^kccm ")

    def test_serves_at_boot_and_is_purged_without_a_trace(self):
        self.root.do("apt-get install --yes /debs/*.deb")
        self.assertRegex(self.root.do("dkms status"), "^clustix/.*: installed")
        self.root.do("clustix init --dir /etc/clustix")
        machine = self.boot_it()
        self.assert_serves(machine)
        # Without the module the daemon does without. (A worker of io_uring closes its last file, after its end.)
        machine.do("systemctl stop clustixd; until rmmod kccm; do :; done; mkdir -p /run/modprobe.d && "
                   "echo install kccm /bin/false >/run/modprobe.d/kccm.conf && "
                   "systemctl start clustixd && systemctl is-active clustixd && ! lsmod | grep -q ^kccm")
        # Here, since dpkg takes a minute in there.
        self.root.do(f"apt-get purge --yes {' '.join(NAMES)}")
        self.assertEqual(self.root.do(TRACES), "")

    def test_is_installed_while_the_system_runs(self):
        machine = self.boot_it()
        # With the compiler run by an emulated processor.
        machine.do("DEBIAN_FRONTEND=noninteractive apt-get install --yes /debs/*.deb", COMPILING_S)
        # There is nothing to serve yet, and that is no failure.
        self.assertEqual(machine.run("systemctl is-active clustixd.service").wait(), 3)
        self.assertEqual(machine.do("systemctl --failed --plain --no-legend"), "")
        machine.do("clustix init --dir /etc/clustix && systemctl start clustixd")
        self.assert_serves(machine)
        machine.do(f"apt-get purge --yes {' '.join(NAMES)}", COMPILING_S)
        self.assertEqual(machine.do(TRACES), "")


if __name__ == "__main__":
    scenario.main(fetch)
