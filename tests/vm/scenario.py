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
import contextlib
import functools
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


class Machines:
    """Machines on one network, from boot to power-off."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="clustix-vm-")
        self._images = {}
        self.network = network.Network()
        self.all = []
        self._dead = []  # whose place another one has taken

    def boot(self, kernel_names, agent, programs, modules, load, icount=False, files=None):
        """The agent, the programs and the files are as for initramfs.make(). With `icount`, see machine.py."""
        for name in set(kernel_names):
            folder = pathlib.Path(self._folder.name) / name
            folder.mkdir()
            self._images[name] = initramfs.make(
                kernels.get(name), folder, agent, programs=programs,
                modules=modules.get(name, ()), load=load, files=files)
        for number, name in enumerate(kernel_names, 1):
            self.all.append(self._switch_on(number, kernels.get(name), self.network.add(number), icount))
        for one in self.all:
            one.booted()

    def _switch_on(self, number, kernel, tap, icount=False):
        return machine.Machine(f"node{number}", kernel, self._images[kernel.name],
                               pathlib.Path(self._folder.name), self.network.address(number), tap, number,
                               icount=icount)

    def boot_disk(self, kernel, disk):
        folder = pathlib.Path(self._folder.name)
        self.all.append(machine.Machine(
            "node1", kernel, initramfs.make_for_disk(kernel, folder), folder,
            self.network.address(1), self.network.add(1), disk=disk))
        self.all[0].booted()

    def boot_again(self, dead):
        """The machine, whose power has failed, with nothing in its memory."""
        one = self._switch_on(dead.number, dead.kernel, f"tap{dead.number}")
        self._dead.append(dead)
        self.all[self.all.index(dead)] = one
        one.booted()
        return one

    def switch_off(self):
        """What was wrong with that."""
        problems = []

        def off(one):
            try:
                one.switch_off()
            except (machine.Failed, OSError) as problem:
                problems.append(str(problem))

        threads = [threading.Thread(target=off, args=(one,)) for one in self.all]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.network.remove()
        self._folder.cleanup()
        return problems

    def complaints(self):
        """What the kernels have complained about since the test began; their logs are printed."""
        for one in self.all + self._dead:
            if one.splats():
                print(f"--- the log of {one.name}\n{one.tail(400)}")
        return [f"{one.name}: {line}" for one in self.all + self._dead
                for line in one.splats()]


def build():
    """The build folder."""
    return _arguments.build


def program(name):
    """A program of the build."""
    return build() / "bin" / name


class Scenario(unittest.TestCase):
    """One test, with machines of its own."""

    def setUp(self):
        self._machines = None
        self._complaints_expected = False
        self.addCleanup(self._end)

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
        for name in kernel_names:
            self.kernel(name)
        self._machines = Machines()
        self._machines.boot(kernel_names, program("clustix-vm-agent"), list(map(program, programs)),
                            modules or {}, load)
        machines = list(self._machines.all)
        return machines if len(machines) > 1 else machines[0]

    def boot_disk(self, kernel_name, disk):
        """A machine whose system is on a disk, and has the agent among its services; booted."""
        self._machines = Machines()
        self._machines.boot_disk(self.kernel(kernel_name), disk)
        return self._machines.all[0]

    def boot_again(self, dead):
        """A machine that was killed, booted once more."""
        return self._machines.boot_again(dead)

    @property
    def network(self):
        return self._machines.network

    def expect_complaints(self):
        """The test provokes some: it looks at them itself."""
        self._complaints_expected = True

    def _end(self):
        if not self._machines:
            return
        problems = self._machines.switch_off()
        self._assert_no_complaints()
        self.assertEqual(problems, [])

    def _assert_no_complaints(self):
        if self._complaints_expected:
            return
        self.assertEqual(self._machines.complaints(), [], "a kernel complained")


class Sharing(Scenario):
    """Tests that share the machines which the first of them has booted, since booting takes longer than
    most of them. Each leaves the machines as it found them (tidy()); after one that fails, the next boots
    new ones."""

    _kept = None

    def setUp(self):
        super().setUp()
        if self._kept:
            self._machines = self._kept
            self._begin()

    def boot(self, *kernel_names, **options):
        cls = type(self)
        if not cls._kept:
            try:
                super().boot(*kernel_names, **options)
            finally:
                cls._kept = self._machines
            self._begin()
        return cls._kept.all if len(cls._kept.all) > 1 else cls._kept.all[0]

    def _begin(self):
        for one in self._machines.all:
            one.begin(self.id())

    def tidy(self, one):
        """Ends what a test has left on a machine."""
        one.end_jobs()

    def _end(self):
        if not self._machines:
            return
        for one in self._machines.all:
            self.tidy(one)
            one.mark("the test has ended")
        self._assert_no_complaints()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) != before:
            self._let_go()
        return result

    @classmethod
    def _let_go(cls):
        kept, cls._kept = cls._kept, None
        return kept.switch_off() if kept else []

    @classmethod
    def tearDownClass(cls):
        problems = cls._let_go()
        if problems:
            raise AssertionError(problems)


def _fetch(more):
    """What is downloaded once must be before the network is out of reach. What cannot be had is missed by
    the tests that want it, which say so."""
    for one in (*(functools.partial(kernels.stock, series) for series in kernels.STOCK), *more):
        with contextlib.suppress(debian.Unavailable):
            one()


def main(*fetch):
    """Runs the tests of the calling program: those named on the command line, or all. `fetch`: functions
    that download into the cache what they need beside kernels."""
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
        if not network.is_isolated():
            _fetch(fetch)
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
