# SPDX-License-Identifier: Apache-2.0
"""What a test with virtual machines is written on: boots them, gathers what the kernels said, switches
them off. A test fails on any complaint of a kernel, even when all else went well.

    class Calls(scenario.Scenario):
        def test_reach_the_other_machine(self):
            one, two = self.boot("6.1", "6.12", modules=self.kccm)
            ...

    scenario.main()
"""

import argparse
import pathlib
import shutil
import sys
import tempfile
import threading
import unittest

import debian
import initramfs
import kernels
import machine
import module
import network

SKIP = 77
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = ("qemu-system-x86_64", "busybox", "cpio", "strip", "ip", "tc", "unshare")

_arguments = None


class Scenario(unittest.TestCase):
    """One test, with machines of its own."""

    def setUp(self):
        self._machines = []
        self._complaints_expected = False
        folder = tempfile.TemporaryDirectory(prefix="clustix-vm-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.addCleanup(self._end)

    @staticmethod
    def program(name):
        """A program of the build."""
        return _arguments.build / "bin" / name

    def kernel(self, name):
        """A kernel of kernels.py; the test is skipped where it cannot be had."""
        try:
            return kernels.get(name)
        except debian.Unavailable as why:
            return self.skipTest(str(why))

    def build_modules(self, kernel_name, name, source, folders=(".",), needs=()):
        """The modules of a folder built for a kernel: {name: path}. Objects are kept, under `name`, in
        the build folder from run to run."""
        to = _arguments.build / "vm" / f"{name}-{kernel_name}"
        return module.build(self.kernel(kernel_name), source, folders, to, needs)

    def boot(self, *kernel_names, programs=(), modules=None, load=()):
        """Machines with these kernels, on one network, booted.

        modules  {kernel's name: files of modules that the test loads}
        load     modules of the kernels' own packages to load at boot
        """
        net = network.Network()
        self.addCleanup(net.remove)
        # The machines go before the network: cleanups run from the last to the first.
        self.addCleanup(self._switch_off)
        self.network = net
        images = {}
        for name in set(kernel_names):
            folder = self.folder / name
            folder.mkdir()
            images[name] = initramfs.make(
                self.kernel(name), folder, self.program("clustix-vm-agent"),
                programs=[self.program(program) for program in programs],
                modules=(modules or {}).get(name, ()), load=load)
        for number, name in enumerate(kernel_names, 1):
            self._machines.append(machine.Machine(
                f"node{number}", self.kernel(name), images[name], self.folder,
                net.address(number), net.add(number), number))
        for one in self._machines:
            one.booted()
        return self._machines if len(self._machines) > 1 else self._machines[0]

    def expect_complaints(self):
        """The test provokes some: it looks at them itself."""
        self._complaints_expected = True

    def _switch_off(self):
        problems = []

        def off(one):
            try:
                one.switch_off()
            except (machine.Failed, OSError) as problem:
                problems.append(str(problem))

        threads = [threading.Thread(target=off, args=(one,)) for one in self._machines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])

    def _end(self):
        for one in self._machines:
            if one.splats() and not self._complaints_expected:
                print(f"--- the log of {one.name}\n{one.tail(400)}")
        if not self._complaints_expected:
            self.assertEqual([f"{one.name}: {line}" for one in self._machines for line in one.splats()],
                             [], "a kernel complained")


def main():
    """Runs the tests of the calling program: those named on the command line, or all."""
    global _arguments
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--build", required=True, type=pathlib.Path, help="the build folder")
    parser.add_argument("tests", nargs="*", help="CLASS or CLASS.test_...; all if none is named")
    _arguments = parser.parse_args()
    _arguments.build = _arguments.build.resolve()
    try:
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        if missing:
            raise debian.Unavailable(f"not installed: {', '.join(missing)}")
        network.isolate()
    except debian.Unavailable as why:
        print(f"SKIP: {why}")
        sys.exit(SKIP)
    result = unittest.main(module="__main__", argv=[sys.argv[0], *_arguments.tests], exit=False,
                           verbosity=2).result
    sys.exit(exit_code(result))


def exit_code(result):
    if not result.wasSuccessful():
        return 1
    if result.skipped:
        for _, reason in result.skipped:
            print(f"SKIP: {reason}")
        return SKIP if len(result.skipped) == result.testsRun else 0
    return 0
