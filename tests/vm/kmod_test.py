#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kccm.ko in real kernels: delivers, survives what networks do, and comes and goes under traffic."""

import kccm
import scenario


class OneKernel(kccm.Scenario):
    """Two nodes in namespaces of one machine."""

    def two_nodes(self, kernel):
        self.machine = self.kccm(kernel)
        one, two = self.namespaces(self.machine)
        self.connect(one, two)
        return one, two

    def serve_each_other_on(self, kernel):
        one, two = self.two_nodes(kernel)
        for node, other in ((one, two), (two, one)):
            node.sample(f"echo {other.number} 100 50").succeed()
            node.sample(f"echo {other.number} 0 3").succeed()
            node.sample(f"echo {other.number} 1052672 3").succeed()
            for lane in (0, 1):
                node.sample(f"count {other.number} {lane} 1 5000").succeed()
        for node, other in ((one, two), (two, one)):
            # The answer comes after all that was sent before the question on that lane.
            node.sample(f"echo {other.number} 8 1").succeed()
            self.assertEqual(other.counts(node, 0), (5000, 5000, 0))
        one.stop()
        two.stop()
        self.unload(self.machine)

    def test_serve_each_other_on_6_1(self):
        self.serve_each_other_on("6.1")

    def test_serve_each_other_on_6_12(self):
        self.serve_each_other_on("6.12")

    def test_serve_each_other_on_the_debug_kernel(self):
        self.serve_each_other_on("debug")


if __name__ == "__main__":
    scenario.main()
