# SPDX-License-Identifier: Apache-2.0
"""Nodes of kccm.ko in machines, and nodes in user space beside them: what tests of the module are
written on. Both serve an echo and a counter, and are told to use each other's."""

import re

import scenario
from machine import PATIENCE_S

PORT = 4000
# Besides the network card's, what the tests of the module want of a stock kernel.
LOAD = ("veth", "sch_netem")
PROGRAMS = ("kccm-config", "kccm-user-node", "kccm-hostile", "kccm-netlink-fuzz", "kccm-churn", "kccm-device-test",
            "../docs/examples/kccm_ring")
MODULES = ("kccm", "kccm_sample", "kccm_exercise")  # in the order to load them
FOLDERS = ("Kbuild", "lib/session", "include/uapi", "kmod")
# By their paths: busybox's shell prefers its own.
IP, TC = "/usr/bin/ip", "/usr/bin/tc"
CABLE = "cable"


class Place:
    """Where a node lives: a machine, or a network namespace of it."""

    def __init__(self, machine, number, address, namespace=None):
        self.machine, self.number, self.address = machine, number, address
        self._device = CABLE if namespace else "eth0"
        self._in = f"{IP} netns exec {namespace} " if namespace else ""

    def run(self, command):
        return self.machine.run(self._in + command)

    def do(self, command, patience=PATIENCE_S):
        return self.machine.do(self._in + command, patience)

    def cut(self):
        self.do(f"{IP} link set {self._device} down")

    def heal(self):
        self.do(f"{IP} link set {self._device} up")

    def disturb(self, how):
        self.do(f"{TC} qdisc replace dev {self._device} root netem {how}")

    def leave_in_peace(self):
        self.do(f"{TC} qdisc delete dev {self._device} root")


class Node:
    """What both kinds of nodes can be told. A command that was started is awaited by succeed()."""

    def __init__(self, place):
        self.place, self.machine = place, place.machine
        self.number, self.address = place.number, place.address

    def counts(self, other, lane):
        """What its counter has from another node: (received, last, wrong)."""
        found = re.search(rf"node {other.number} lane {lane} received (\d+) last (\d+) wrong (\d+)",
                          self._counts())
        return tuple(map(int, found.groups())) if found else (0, 0, 0)


class ModuleNode(Node):
    """The namespace is a node of the module."""

    def start(self, others=(), tolerance_ms=1500, key="k"):
        self.place.do(f"kccm-config node {self.number} {self.address} {PORT} {key} {tolerance_ms}")
        for other in others:
            self.add(other)

    def add(self, other):
        self.place.do(f"kccm-config peer {other.number} {other.address} {PORT}")

    def remove(self, other):
        self.place.do(f"kccm-config peer-del {other.number}")

    def stop(self):
        self.place.do("kccm-config node-del")

    def expect_peer(self, other, event):
        self.machine.expect_log(f"kccm: node {self.number}: peer {other.number}: {event}")

    def _debugfs(self):
        return "/sys/kernel/debug/kccm/" + self.place.do("stat -L -c %i /proc/self/ns/net")

    def fault(self, command):
        """One of kmod/fault.h."""
        self.machine.do(f"echo {command} >{self._debugfs()}/fault")

    def faults(self):
        """How many have been injected."""
        return int(re.search(r"faults (\d+)", self.machine.do(f"cat {self._debugfs()}/state"))[1])

    def exercise(self, command):
        """Starts a command of kmod/test/kccm_exercise.c; a Job."""
        return self.place.run(f"sh -c 'echo {command} >/proc/net/kccm_exercise'")

    def command(self, command):
        """Starts a command of the sample; a Job, which says "open" when nothing is left but to do it."""
        return self.place.run(f"sh -c 'exec 3>/proc/net/kccm_sample; echo open; echo {command} >&3'")

    def echo(self, other, lane, size, count):
        return self.command(f"echo {other.number} {lane} {size} {count}")

    def count(self, other, lane, first, last):
        return self.command(f"count {other.number} {lane} {first} {last}")

    def _counts(self):
        return self.place.do("cat /proc/net/kccm_sample")

    def own_counter(self, name):
        return int(re.search(rf"\b{name} (\d+)", self.place.do("kccm-config show node"))[1])

    def counter(self, other, name):
        line = next(line for line in self.place.do("kccm-config show peers").splitlines()
                    if line.startswith(f"node {other.number} "))
        return int(re.search(rf"\b{name} (\d+)", line)[1])

    def lane_counter(self, other, lane, name):
        queues = self.place.do("kccm-config show queues")
        return int(re.search(rf"\bnode {other.number} .*?\blane {lane} .*?\b{name} (\d+)", queues)[1])


class UserCommand:
    """A command of kccm-user-node, which runs beside others."""

    def __init__(self, job, what, arguments):
        self._job, self._name, self._begin = job, " ".join([what, *map(str, arguments[:2])]), len(job.lines)
        job.input(" ".join([what, *map(str, arguments)]))

    def wait(self, patience=PATIENCE_S):
        """How it ended: "done" or "failed: WHY"."""
        return self._job.find(f"^{self._name} (.*)", self._begin, patience)[1][1]

    def succeed(self, patience=PATIENCE_S):
        how = self.wait(patience)
        if how != "done":
            raise AssertionError(f"{self._name}: {how}")


class UserNode(Node):
    """A process in the namespace is a node."""

    def start(self, others):
        peers = " ".join(f"{other.number}={other.address}:{PORT}" for other in others)
        self._job = self.place.run(f"kccm-user-node {self.number} {self.address}:{PORT} {peers}")
        self._job.expect("^listening")

    def stop(self):
        self._job.close_input()
        self._job.succeed()

    def expect_peer(self, other, event):
        self._job.expect(f"^peer {other.number}: {event}")

    def echo(self, other, lane, size, count):
        return UserCommand(self._job, "echo", (other.number, lane, size, count))

    def count(self, other, lane, first, last):
        return UserCommand(self._job, "count", (other.number, lane, first, last))

    def _counts(self):
        begin = len(self._job.lines)
        self._job.input("counts")
        self._job.find("^counts done", begin)
        return "\n".join(self._job.lines[begin:])


class Kccm:
    """What a scenario with the module can do."""

    def kccm(self, *kernel_names, programs=()):
        """Machines with the module and those that use it loaded."""
        machines = self.boot(
            *kernel_names, programs=(*PROGRAMS, *programs), load=LOAD,
            modules={name: self.build_modules(name, "kccm", scenario.ROOT, FOLDERS).values()
                     for name in set(kernel_names)})
        for machine in machines if isinstance(machines, list) else [machines]:
            self.load(machine)
        return machines

    LOAD = " && ".join(f"insmod /modules/{name}.ko" for name in MODULES).replace(".ko", ".ko faults=1", 1)
    UNLOAD = "rmmod kccm_exercise kccm_sample kccm"
    # Refused as long as a file is open: the last ones of a process are closed by a worker of io_uring,
    # after the process has ended.
    UNLOAD_AFTER_IO_URING = "rmmod kccm_exercise kccm_sample && until rmmod kccm; do :; done"

    def load(self, machine):
        machine.do(self.LOAD)

    def unload(self, machine):
        machine.do(self.UNLOAD)

    def unload_after_io_uring(self, machine):
        machine.do(self.UNLOAD_AFTER_IO_URING)

    @staticmethod
    def two_places(machine):
        """Two namespaces of one machine, joined by a cable."""
        machine.do(f"{IP} netns add n1 && {IP} netns add n2 && "
                   f"{IP} link add {CABLE} netns n1 type veth peer name {CABLE} netns n2")
        places = []
        for number in (1, 2):
            name, address = f"n{number}", f"10.9.0.{number}"
            machine.do(f"{IP} -n {name} link set lo up && "
                       f"{IP} -n {name} address add {address}/24 dev {CABLE} && "
                       f"{IP} -n {name} link set {CABLE} up")
            places.append(Place(machine, number, address, name))
        return places

    def assert_delivered(self, sender, receiver, lane, last):
        """All numbers came, each once and in order."""
        # The answer comes after all that was sent on the lane before the question.
        sender.echo(receiver, lane, 8, 1).succeed()
        self.assertEqual(receiver.counts(sender, lane), (last, last, 0))

    def serve_each_other(self, one, two, messages):
        for node, other in ((one, two), (two, one)):
            for lane in (0, 1):
                node.echo(other, lane, 100, 30).succeed()
                node.echo(other, lane, 0, 2).succeed()
                node.echo(other, lane, 1052672, 1).succeed()
                node.count(other, lane, 1, messages).succeed()
                self.assert_delivered(node, other, lane, messages)


class Scenario(Kccm, scenario.Scenario):
    """Machines of the test's own."""


class Sharing(Kccm, scenario.Sharing):
    """Machines of the class; each test loads the module and makes its namespaces anew."""

    def tidy(self, one):
        super().tidy(one)
        one.do(f"{IP} -all netns delete; {IP} link set eth0 up; {TC} qdisc delete dev eth0 root 2>/dev/null; "
               f"for module in {' '.join(reversed(MODULES))}; do "
               'while grep -q "^$module " /proc/modules; do rmmod $module; done; done')
