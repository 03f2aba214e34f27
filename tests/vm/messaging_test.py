#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The transports on Debian's kernels: the tests of Io on io_uring and of the messenger run on an older
kernel than developers' machines have, and over the kernel module, which those do not have either."""

import re

import kccm
import scenario


def assert_passed(output):
    """What gtest has printed tells of tests that passed; how many."""
    passed = re.search(r"\[  PASSED  \] ([1-9]\d*) tests?", output)
    assert passed, output
    return int(passed[1])


class Messaging(scenario.Scenario):
    def run_tests_on(self, kernel):
        machine = self.boot(kernel, programs=("io_test", "msg_test"))
        for program in ("io_test", "msg_test"):
            output = machine.do(program, patience=600)
            print(f"{machine.kernel.release}: {program}: {assert_passed(output)} tests passed")

    def test_works_on_6_1(self):
        self.run_tests_on("6.1")

    def test_works_on_6_12(self):
        self.run_tests_on("6.12")


class OverTheModule:
    """Between two namespaces with the module, and between one with it and one in user space. A class below
    names its kernel."""

    def test_keeps_the_messengers_promises(self):
        machine = self.boot(self.KERNEL, programs=("msg_test",), load=kccm.LOAD, modules={
            self.KERNEL: self.build_modules(self.KERNEL, "kccm", scenario.ROOT, kccm.FOLDERS).values()})
        machine.do("insmod /modules/kccm.ko")
        self.two_places(machine)
        output = machine.do("msg_test --gtest_filter='*AMessenger*'", patience=600)
        self.assertIn("module_and_module", output)
        self.assertIn("user_space_and_module", output)
        assert_passed(output)
        # The last files are closed by a worker of io_uring, after the process has ended.
        machine.do("until rmmod kccm; do :; done")


class OverTheModule_6_1(OverTheModule, kccm.Scenario):
    KERNEL = "6.1"


class OverTheModule_6_12(OverTheModule, kccm.Scenario):
    KERNEL = "6.12"


class OverTheModule_debug(OverTheModule, kccm.Scenario):
    KERNEL = "debug"


if __name__ == "__main__":
    scenario.main()
