#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The user-space transport on Debian's kernels: the tests of Io on io_uring and of the messenger run
on an older kernel than developers' machines have."""

import re

import scenario


class Messaging(scenario.Scenario):
    def run_tests_on(self, kernel):
        machine = self.boot(kernel, programs=("io_test", "msg_test"))
        for program in ("io_test", "msg_test"):
            output = machine.do(program, patience=600)
            self.assertRegex(output, r"\[  PASSED  \] [1-9]\d* tests?")
            print(f"{machine.kernel.release}: {program}: "
                  f"{re.search(r'PASSED  . ([0-9]+)', output)[1]} tests passed")

    def test_works_on_6_1(self):
        self.run_tests_on("6.1")

    def test_works_on_6_12(self):
        self.run_tests_on("6.12")


if __name__ == "__main__":
    scenario.main()
