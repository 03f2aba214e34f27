#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clustixd with the kernel module on one machine and without it on another: one cluster."""

import json

import kccm
import scenario

PROGRAMS = ("clustix", "clustixd")
CONFIGURATION = "/tmp/cluster.toml"
KEY = "5e" * 32


class Daemon:
    """clustixd of a machine, which is the node of the machine's number."""

    def __init__(self, machine):
        self.machine = machine

    def start(self, *options):
        self.job = self.machine.run(f"exec clustixd --config {CONFIGURATION} --node {self.machine.number} "
                                    f"--no-proc {' '.join(options)}")
        self.job.expect("ready")

    def fails_to_start(self, number, *options):
        """What a second clustixd says on this machine, as a node that it cannot be."""
        job = self.machine.run(f"clustixd --config {CONFIGURATION} --node {number} --no-proc "
                               f"--runtime-dir /tmp/other {' '.join(options)}")
        if job.wait() != 1:
            raise AssertionError(f"{job.command} ended with {job.status}: {job.lines}")
        return job.lines[-1]

    def expect_peer(self, event):
        self.job.expect(f"peer changed.*event={event}")

    def do(self, command):
        return self.machine.do(f"clustix {command}")

    def refuses(self, command, user="root"):
        """What a command says that must fail with 1."""
        job = self.machine.run(f"su {user} -c 'clustix {command}'")
        if job.wait() != 1:
            raise AssertionError(f"clustix {command} ended with {job.status}: {job.lines}")
        return "\n".join(job.lines)

    def status(self):
        return json.loads(self.do("status --json"))


class Daemons(kccm.Scenario):

    def boot_cluster(self, *kernels):
        """Two machines with a configuration, of which the first has the module."""
        machines = self.boot(*kernels, programs=PROGRAMS, modules={
            kernels[0]: self.build_modules(kernels[0], "kccm", scenario.ROOT, kccm.FOLDERS).values()})
        nodes = "".join(f'[[node]]\\nid = {one.number}\\nname = "{one.name}"\\naddress = "{one.address}:7400"\\n'
                        for one in machines)
        for machine in machines:
            machine.do(f"printf '[cluster]\\nname = \"vm\"\\nuuid = \"6ba7b810-9dad-41d1-80b4-00c04fd430c8\"\\n"
                       f"key_file = \"cluster.key\"\\n{nodes}' >{CONFIGURATION}; "
                       f"umask 077; echo {KEY} >/tmp/cluster.key")
        machines[0].do("insmod /modules/kccm.ko")
        return [Daemon(machine) for machine in machines]

    def assert_sees_both(self, daemon):
        """The processes of both machines, by name and node."""
        seen = daemon.do("ps -o node,comm")
        for number in (1, 2):
            self.assertRegex(seen, rf"(?m)^ *{number} clustixd$")

    def assert_cluster(self, one, two):
        one.expect_peer("up")
        two.expect_peer("up")
        self.assert_sees_both(one)
        self.assert_sees_both(two)

    def test_module_and_user_space_form_a_cluster(self):
        one, two = self.boot_cluster("6.1", "6.12")
        one.start()
        two.start()
        self.assert_cluster(one, two)

        self.assertRegex(one.do("status"), r"(?m)^Transport +kernel module kccm, protocol 1$")
        self.assertEqual(one.status()["transport"], {"name": "kccm", "reason": "protocol 1"})
        self.assertRegex(two.do("status"), r"(?m)^Transport +user space: the module kccm is not loaded")
        self.assertEqual(two.status()["transport"]["name"], "user-space")
        self.assertEqual(one.status()["incarnation"], two.status()["peers"][0]["incarnation"])

        # The module is asked itself, and says that it is not there.
        self.assertRegex(one.do("kmod status"), r"(?m)^Node +1, 10\.\S+:7400$")
        self.assertRegex(one.do("kmod peers"), r"(?m)^ *2 +10\.\S+:7400 +up ")
        self.assertGreater(json.loads(one.do("kmod stats --json"))["peers"][0]["counters"]["messages_sent"], 0)
        self.assertRegex(one.do("kmod stats"), r"(?m)^2 +messages_sent +[1-9]")
        self.assertEqual([(lane["node"], lane["lane"], lane["connected"])
                          for lane in json.loads(one.do("kmod queue --json"))],
                         [(2, "control", 1), (2, "bulk", 1)])
        self.assertRegex(one.do("kmod queue"), r"^PEER +LANE +UNACCEPTED +CONNECTED +MEMORY_BYTES +QUEUED_TOTAL ")
        self.assertIn("wants the capability CAP_NET_ADMIN",
                      one.refuses("kmod peers", user="nobody"))
        for command in ("status", "peers", "stats", "queue"):
            self.assertIn("the module kccm is not loaded", two.refuses(f"kmod {command}"))

        # Large values come through the module as they were sent, many at once.
        one.do("set create vm/large")
        value = "yes {} | head -c 65536"
        two.machine.do(f"for i in $(seq 1 24); do {value.format('$i')} | clustix set put vm/large $i || exit 1; done")
        one.machine.do("for i in $(seq 1 24); do clustix set get vm/large $i >/tmp/large.$i & done; wait")
        one.machine.do(f"for i in $(seq 1 24); do {value.format('$i')} | cmp - /tmp/large.$i || exit 1; done")
        self.assertEqual(one.status()["counters"]["sets_messages_malformed"], 0)

        # The module cannot go while a daemon uses it.
        self.assertNotEqual(one.machine.run("rmmod kccm").wait(), 0)

        # Nor can another daemon use it here, whether this one lives or has left its node behind.
        self.assertIn("port 1 of kccm: Address already in use", one.fails_to_start(2, "--transport module"))
        before = one.status()["incarnation"]
        one.job.kill()
        one.job.wait()
        self.assertIn("this network namespace is node 1 of the cluster 6ba7b810",
                      one.fails_to_start(2, "--transport module"))

        # That node still answers, and says that nobody is there to start programs.
        job = two.machine.run("clustix exec --node 1 -- true")
        self.assertEqual(job.wait(), 126)
        self.assertIn("its clustixd does not run", job.lines[-1])

        # Started anew, it takes over the node that it has left behind.
        one.start()
        self.assert_cluster(one, two)
        self.assertNotEqual(one.status()["incarnation"], before)
        self.assertEqual(one.status()["transport"]["name"], "kccm")
        self.assertEqual(two.status()["peers"][0]["reboots"], 1)

        # What is asked for and cannot be had is said.
        self.assertIn("the kernel module cannot be used: the module kccm is not loaded",
                      two.fails_to_start(2, "--transport module"))

        # Its end takes the node along.
        one.job.kill(15)
        one.job.succeed()
        one.machine.expect_log("kccm: node 1: has stopped")
        self.assertRegex(one.do("kmod status"), r"(?m)^Node +none")
        self.assertIn("is no node", one.refuses("kmod queue"))
        two.expect_peer("path-down|suspect|dead")
        # The last file is closed by a worker of io_uring, after the process has ended.
        one.machine.do("until rmmod kccm; do :; done")


if __name__ == "__main__":
    scenario.main()
