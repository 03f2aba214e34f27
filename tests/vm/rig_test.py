#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rig itself: that it boots every kernel, hears what happens in its machines, and notices what goes
wrong there. Without this, a test that passes says little."""

import scenario

PROBE = scenario.HERE / "modules/probe"
MISTAKE = "/sys/module/rig_probe/parameters/mistake"


class Rig(scenario.Sharing):
    """Two machines that differ, for all of them."""

    def boot_with_probe(self):
        return self.boot("6.1", "6.12", load=("sch_netem",), modules={
            name: self.build_modules(name, "probe", PROBE).values() for name in ("6.1", "6.12")})

    def test_runs_programs_and_modules_on_different_kernels(self):
        old, new = self.boot_with_probe()
        self.assertRegex(old.do("uname -r"), r"^6\.1\.")
        self.assertRegex(new.do("uname -r"), r"^6\.12\.")
        self.assertEqual(old.run("exit 3").wait(), 3)
        self.assertEqual(old.run("kill -SEGV $$").wait(), 128 + 11)
        echo = new.run("while read -r line; do echo got $line; done")
        for word in ("one", "two"):
            echo.input(word)
            echo.expect(f"^got {word}$")
        echo.close_input()
        self.assertEqual(echo.wait(), 0)
        for machine in (old, new):
            machine.do("insmod /modules/rig_probe.ko")
            machine.expect_log("rig_probe: loaded")
            machine.do("rmmod rig_probe")
            machine.expect_log("rig_probe: unloaded")

    def test_disturbs_the_network_between_machines(self):
        one, two = self.boot_with_probe()
        answered, lost = f"ping -c 1 -W 20 {two.address}", f"ping -c 2 -W 1 {two.address}"
        one.do(answered)
        one.disturb("loss 100%")
        self.assertNotEqual(one.run(lost).wait(), 0)
        one.leave_in_peace()
        self.network.cut(2)
        self.assertNotEqual(one.run(lost).wait(), 0)
        self.network.heal(2)
        one.do(answered)
        two.kill()
        self.assertNotEqual(one.run(lost).wait(), 0)
        self.boot_again(two).do("true")

    def test_notices_what_a_stock_kernel_complains_about(self):
        _, machine = self.boot_with_probe()
        self.expect_complaints()
        machine.do("insmod /modules/rig_probe.ko")
        self.assertEqual(machine.splats(), [])
        machine.do(f"echo warning >{MISTAKE}")
        machine.expect_log("rig_probe: as asked")
        self.assertTrue(machine.splats())
        machine.do("rmmod rig_probe")


class DebugKernel(scenario.Scenario):
    """What the debug kernel is for, it does."""

    def setUp(self):
        super().setUp()
        modules = self.build_modules("debug", "probe", PROBE).values()
        self.machine = self.boot("debug", modules={"debug": modules})
        self.assertEqual(self.machine.splats(), [])
        self.expect_complaints()
        self.machine.do("insmod /modules/rig_probe.ko")

    def make(self, mistake):
        self.machine.do(f"echo {mistake} >{MISTAKE}")

    def test_notices_leaks_memory_used_after_free_and_possible_deadlocks(self):
        self.make("leak")
        self.assertIn("[rig_probe]", self.machine.leaks())
        self.make("cross-locks")
        self.machine.expect_log("possible circular locking dependency")
        # Last: lockdep says nothing more once memory is known to be corrupt.
        self.make("use-after-free")
        self.machine.expect_log("KASAN: use-after-free in use_after_free")
        self.assertGreater(len(self.machine.splats()), 2)


if __name__ == "__main__":
    scenario.main()
