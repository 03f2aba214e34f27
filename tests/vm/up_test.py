#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`./up --vm` and `clustix down`: a cluster of virtual machines comes, is used, and leaves nothing."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

import debian
import kernels
import network
import scenario

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_S = 600


def pids(text):
    """The processes of this machine in whose command line it is."""
    found = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.add(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def cluster_command(base):
    return [sys.executable, HERE / "cluster.py", "--build", scenario.build(), "--base-dir", base]


def environment():
    """As it is for who is not in a test's namespaces."""
    return {name: value for name, value in os.environ.items() if name != network.INSIDE}


class Up(unittest.TestCase):
    def setUp(self):
        try:
            kernels.get("6.1")
        except debian.Unavailable as why:
            self.skipTest(str(why))
        scratch = tempfile.TemporaryDirectory(prefix="clustix-up-")
        self.addCleanup(scratch.cleanup)
        self.base = f"{scratch.name}/base"
        self.files = pathlib.Path(f"{self.base}-vm")
        self.interfaces = os.listdir("/sys/class/net")
        self.addCleanup(self.down)

    def up(self, *arguments, status=0):
        done = subprocess.run([*cluster_command(self.base), *arguments], env=environment(), capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, status, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def down(self):
        return subprocess.run([scenario.program("clustix"), "down", "--base-dir", self.base], check=True,
                              capture_output=True, text=True, timeout=PATIENCE_S).stdout

    def assert_nothing_is_left(self):
        self.assertEqual(pids(self.base), set())
        self.assertFalse(self.files.exists())
        self.assertEqual(os.listdir("/sys/class/net"), self.interfaces)

    def test_comes_is_used_and_leaves_nothing(self):
        shown = self.up("--nodes", "2")
        for node in (1, 2):
            # "2*" where the machines are too slow to answer in time.
            self.assertRegex(shown, rf"(?m)^ *{node}\*? +\d+ clustixd ")
        self.assertIn("./up --vm -- ", shown)
        running = pids(self.base)
        self.assertNotEqual(running, set())

        self.assertIn("2 machines run already", self.up())
        self.assertEqual(pids(self.base), running)
        self.assertIn("clustix down", self.up("--nodes", "3", status=1))

        self.assertRegex(self.up("--", "clustix", "status"), r"(?m)^Transport +kernel module kccm")
        self.assertEqual(self.up("--node", "2", "--", "sh", "-c", "hostname; exit 7", status=7), "node2\n")
        self.assertIn("no node 3", self.up("--node", "3", "--", "true", status=1))
        self.assertEqual(self.up("--", "sh", "-c", "echo one\necho 'two  three'"), "one\ntwo  three\n")
        # With the processes of both, by a program that knows nothing of clusters.
        seen = self.up("--", "clustix", "shell", "--", "ps", "-e", "-o", "pid,comm")
        nodes = {int(pid) >> 22 for pid in re.findall(r"(?m)^ *(\d+) clustixd$", seen)}
        self.assertEqual(nodes, {1, 2})

        # Unmodified programs signal what is on another machine.
        self.up("--node", "2", "--", "sh", "-c", "/bin/sleep 4242 >/dev/null 2>&1 &")
        self.assertEqual(self.up("--", "clustix", "shell", "--", "sh", "-c",
                                 "until /usr/bin/pkill -f '^/bin/sleep 4242'; do :; done"), "")
        self.up("--node", "2", "--", "sh", "-c", "while pidof sleep; do :; done")

        # A daemon that is killed comes back.
        self.up("--node", "2", "--", "sh", "-c", "killed=$(pidof clustixd); kill -9 $killed; "
                'until now=$(pidof clustixd) && [ "$now" != "$killed" ] && clustix status >/dev/null 2>&1; do :; done')

        self.assertEqual(self.down(), "switched off the virtual machines\n")
        self.assert_nothing_is_left()
        self.assertIn("no machines run", self.up("--", "true", status=1))
        self.assertIn("no cluster ran", self.down())

    def test_a_start_that_is_interrupted_leaves_no_process(self):
        starting = subprocess.Popen(cluster_command(self.base), env=environment(), stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.addCleanup(starting.kill)
        for line in starting.stdout:
            if "booting" in line:
                break
        starting.send_signal(signal.SIGINT)
        said = starting.communicate(timeout=PATIENCE_S)[0]
        self.assertEqual(starting.returncode, 128 + signal.SIGINT, said)
        self.assertEqual(pids(self.base), set())
        self.down()
        self.assert_nothing_is_left()


if __name__ == "__main__":
    scenario.main()
