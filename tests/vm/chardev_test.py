#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""/dev/kccm: programs send and receive through the kernel module with io_uring."""

import kccm
import scenario

IN_1, IN_2 = (f"/usr/bin/ip netns exec n{number} " for number in (1, 2))


class Chardev:
    """On a machine with two nodes, n1 and n2, in namespaces; a class below names its kernel."""

    REPEAT = 1

    def boot_nodes(self):
        machine = self.kccm(self.KERNEL)
        one, two = map(kccm.ModuleNode, self.two_places(machine))
        nobody = kccm.Place(machine, 3, "10.9.0.3")
        one.start([two, nobody])
        two.start([one, nobody])
        one.expect_peer(two, "up")
        self.one, self.nobody = one, nobody
        return machine

    def test_keeps_its_promises(self):
        machine = self.boot_nodes()
        for _ in range(self.REPEAT):
            output = machine.do("kccm-device-test --gtest_color=no", patience=600)
            self.assertRegex(output, r"\[  PASSED  \] [1-9]\d* tests")
            # With it goes what waits for it, of which the tests fill the queue.
            self.one.remove(self.nobody)
            self.one.add(self.nobody)
        self.unload_after_io_uring(machine)

    def test_example_sends_calls_and_serves(self):
        machine = self.boot_nodes()
        server = machine.run(IN_2 + "kccm_ring serve 40")
        refused = machine.run(IN_1 + "kccm_ring call 2 41 hello")
        self.assertNotEqual(refused.wait(), 0)  # nobody serves that port
        # The server may not have bound its port yet: then the port is served by nobody.
        call = IN_1 + "kccm_ring call 2 40 hello"
        machine.do(f"until {call}; do :; done")
        server.expect("^node 1: hello$")
        machine.do(IN_1 + "kccm_ring send 2 40 goodbye")
        server.expect("^node 1: goodbye$")
        self.assertEqual(machine.do(call), "hello")
        server.kill()
        server.wait()
        self.unload_after_io_uring(machine)


class On_6_1(Chardev, kccm.Sharing):
    KERNEL = "6.1"


class On_6_12(Chardev, kccm.Sharing):
    KERNEL = "6.12"


class On_debug(Chardev, kccm.Sharing):
    KERNEL = "debug"


class On_debug_at_length(Chardev, kccm.Sharing):
    KERNEL, REPEAT = "debug", 5


if __name__ == "__main__":
    scenario.main()
