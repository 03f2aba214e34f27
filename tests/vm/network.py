# SPDX-License-Identifier: Apache-2.0
"""The network of the machines: a bridge and one tap per machine, in this process's own namespace.

isolate() puts the process into network, process and mount namespaces of its own: nothing of the
network is left on the host when it ends, and no machine outlives it, however it ends.
"""

import os
import signal
import subprocess
import sys

import debian

INSIDE = "CLUSTIX_VM_ISOLATED"
_BRIDGE = "machines"


def is_isolated():
    return INSIDE in os.environ


def isolate():
    """Runs this program again, in namespaces of its own, and does not return; inside, it returns."""
    if is_isolated():
        # The first process of a namespace gets no signal that it has not asked for.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        return
    unshare = ["unshare", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    if os.geteuid() != 0:
        unshare += ["--map-root-user"]
    probe = subprocess.run([*unshare, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        raise debian.Unavailable(f"no namespaces here: {probe.stderr.strip()}")
    os.environ[INSIDE] = "yes"
    os.execvp(unshare[0], [*unshare, "--", sys.executable, *sys.argv])


def _ip(*arguments):
    run = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if run.returncode != 0:
        raise debian.Unavailable(f"ip {' '.join(arguments)}: {run.stderr.strip()}")


class Network:
    """Machine number n has the address 10.77.0.n and the tap tapN."""

    def __init__(self):
        self._taps = []
        _ip("link", "set", "lo", "up")
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("link", "set", _BRIDGE, "up")

    @staticmethod
    def address(number):
        return f"10.77.0.{number}"

    def add(self, number):
        """The name of a new tap."""
        tap = f"tap{number}"
        _ip("tuntap", "add", "dev", tap, "mode", "tap")
        self._taps.append(tap)
        _ip("link", "set", tap, "master", _BRIDGE, "up")
        return tap

    def cut(self, number):
        """What machine `number` sends or is sent vanishes, as in a switch that lost a cable; its own
        network card notices nothing."""
        _ip("link", "set", f"tap{number}", "nomaster")

    def heal(self, number):
        _ip("link", "set", f"tap{number}", "master", _BRIDGE)

    def remove(self):
        for tap in self._taps:
            _ip("link", "delete", tap)
        _ip("link", "delete", _BRIDGE)
