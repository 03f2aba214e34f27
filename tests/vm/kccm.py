# SPDX-License-Identifier: Apache-2.0
"""Nodes of kccm.ko in machines: what tests of the module are written on."""

import re

import scenario

PORT = 4000
# Besides the network card's, what the tests of the module want of a stock kernel.
LOAD = ("veth", "sch_netem")
PROGRAMS = ("kccm-config", "clustix-traffic")
FOLDERS = ("Kbuild", "lib/session", "include/uapi", "kmod")


class Node:
    """A network namespace of a machine (None: the first one) that is a node of the module."""

    def __init__(self, machine, number, address, namespace=None):
        self.machine, self.number, self.address = machine, number, address
        self._in = f"/usr/bin/ip netns exec {namespace} " if namespace else ""

    def run(self, command):
        return self.machine.run(self._in + command)

    def do(self, command, patience=150):
        return self.machine.do(self._in + command, patience)

    def start(self, key="k", tolerance_ms=1500):
        self.do(f"kccm-config node {self.number} {self.address} {PORT} {key} {tolerance_ms}")

    def add(self, other):
        self.do(f"kccm-config peer {other.number} {other.address} {PORT}")

    def stop(self):
        self.do("kccm-config node-del")

    def expect_peer(self, other, event):
        """Waits for the log to say so."""
        self.machine.expect_log(f"kccm: node {self.number}: peer {other.number}: {event}")

    def sample(self, command):
        """Starts a command of the sample module; a Job."""
        return self.run(f"sh -c 'echo {command} >/proc/net/kccm_sample'")

    def counts(self, other, lane):
        """What the sample's counter has from a peer: (received, last, wrong)."""
        found = re.search(rf"node {other.number} lane {lane} received (\d+) last (\d+) wrong (\d+)",
                          self.do("cat /proc/net/kccm_sample"))
        return tuple(map(int, found.groups())) if found else (0, 0, 0)

    def counter(self, other, name):
        line = next(line for line in self.do("kccm-config show peers").splitlines()
                    if line.startswith(f"node {other.number} "))
        return int(re.search(rf"\b{name} (\d+)", line)[1])


class Scenario(scenario.Scenario):
    """Machines with the module and its sample loaded."""

    def kccm(self, *kernel_names):
        machines = self.boot(
            *kernel_names, programs=PROGRAMS, load=LOAD,
            modules={name: self.build_modules(name, "kccm", scenario.ROOT, FOLDERS).values()
                     for name in set(kernel_names)})
        for machine in machines if isinstance(machines, list) else [machines]:
            self.load(machine)
        return machines

    @staticmethod
    def load(machine):
        machine.do("insmod /modules/kccm.ko && insmod /modules/kccm_sample.ko")

    @staticmethod
    def unload(machine):
        machine.do("rmmod kccm_sample && rmmod kccm")

    @staticmethod
    def namespaces(machine):
        """Two nodes in namespaces of one machine, joined by a cable: a cluster within one kernel."""
        ip = "/usr/bin/ip"
        machine.do(f"{ip} netns add n1 && {ip} netns add n2 && "
                   f"{ip} link add cable netns n1 type veth peer name cable netns n2")
        nodes = []
        for number in (1, 2):
            name, address = f"n{number}", f"10.9.0.{number}"
            machine.do(f"{ip} -n {name} link set lo up && "
                       f"{ip} -n {name} address add {address}/24 dev cable && "
                       f"{ip} -n {name} link set cable up")
            nodes.append(Node(machine, number, address, name))
        return nodes

    @staticmethod
    def connect(*nodes):
        """Makes them one cluster, and waits until everybody has reached everybody."""
        for node in nodes:
            node.start()
        for node in nodes:
            for other in nodes:
                if other is not node:
                    node.add(other)
        # The log has one order, and ends with the last of them, whichever that is.
        for machine in {node.machine for node in nodes}:
            wanted = {(node.number, other.number) for node in nodes if node.machine is machine
                      for other in nodes if other is not node}
            while wanted:
                found = machine.expect_log(r"kccm: node (\d+): peer (\d+): up")
                wanted.discard((int(found[1]), int(found[2])))
