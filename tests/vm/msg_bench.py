#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where `clustix bench msg --vm` runs the peers: in virtual machines with the kernel module, TIPC and RDS.

    msg_bench.py serve --build BUILD --socket PATH [--kernel NAME] [--icount] PROGRAM...

boots two machines with these programs, prints "ready RELEASE", and runs what it is asked to at the socket until
its input ends. With --icount, one machine of one processor with two network namespaces, in which a
nanosecond passes with each instruction: what is measured there does not depend on this machine.

    msg_bench.py run --socket PATH NUMBER PROGRAM [ARGUMENT...]

runs a program on machine NUMBER, with its output here and the end of this input as its own.
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import socket
import sys
import threading

import debian
import initramfs
import kccm
import kernels
import machine
import module
import network
import scenario

OWN = ("kccm-config",)
TIPC = "/usr/bin/tipc"
LOAD = ("veth", "tipc", "rds_tcp")
PORT = 4000


class Stage:
    """The two nodes. A place is a machine, or a namespace of one."""

    def __init__(self, build, kernel_name, programs, icount):
        self._machines = scenario.Machines()
        kernel = kernels.get(kernel_name)
        modules = module.build(kernel, scenario.ROOT, kccm.FOLDERS,
                               build / "vm" / f"kccm-{kernel_name}")
        self._machines.boot(
            [kernel_name] * (1 if icount else 2), build / "bin/clustix-vm-agent",
            [build / "bin" / name for name in OWN] + [pathlib.Path(shutil.which("tipc"))] + programs,
            {kernel_name: modules.values()}, LOAD, icount=icount)
        for one in self._machines.all:
            for name in ("kccm", "kccm_sample"):
                one.do(f"insmod /modules/{name}.ko")
        if icount:
            self.places = kccm.Kccm.two_places(self._machines.all[0])
        else:
            self.places = [kccm.Place(one, number, one.address)
                           for number, one in enumerate(self._machines.all, 1)]
        self._start_kccm()
        self._start_tipc(kccm.CABLE if icount else "eth0")

    def _start_kccm(self):
        nodes = [kccm.ModuleNode(place) for place in self.places]
        for node in nodes:
            node.start([other for other in nodes if other is not node])
        nodes[0].expect_peer(nodes[1], "up")

    def _start_tipc(self, device):
        for place in self.places:
            place.do(f"{TIPC} node set identity node{place.number}")
            place.do(f"{TIPC} bearer enable media eth device {device}")
        for place in self.places:
            place.do(f"sh -c 'until {TIPC} link list | grep -q up$; do :; done'")

    def switch_off(self):
        complaints = self._machines.complaints()
        return complaints + self._machines.switch_off()

    def run(self, connection):
        """One program, for as long as whoever asked for it is there. A line of JSON asks for it; what
        comes back are lines: `out TEXT`, and at last `end STATUS`."""
        reader = connection.makefile("r")
        order = json.loads(reader.readline())
        job = self.places[order["place"] - 1].run(shlex.join(order["command"]))

        def watch():
            if reader.readline() == "input ends\n":
                job.close_input()
                reader.readline()
            if job.status is None:
                job.kill()

        threading.Thread(target=watch, daemon=True).start()
        try:
            for text in job.follow():
                connection.sendall(f"out {text}\n".encode())
            connection.sendall(f"end {job.status}\n".encode())
        except OSError:
            pass  # it was not waited for; watch() ends the program
        connection.shutdown(socket.SHUT_RDWR)


def serve(arguments):
    if shutil.which("tipc") is None:
        raise debian.Unavailable("not installed: iproute2")
    if not network.is_isolated():
        kernels.get(arguments.kernel)  # it may have to be downloaded
    network.isolate()
    build = arguments.build.resolve()
    stage = Stage(build, arguments.kernel, arguments.programs, arguments.icount)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(arguments.socket)
    listener.listen()

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=stage.run, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(f"ready {kernels.get(arguments.kernel).release}", flush=True)
    sys.stdin.read()
    os.unlink(arguments.socket)
    problems = stage.switch_off()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def run(arguments):
    """The other end of Stage.run()."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(arguments.socket)
    order = {"place": arguments.place, "command": [os.path.basename(arguments.command[0]),
                                                   *arguments.command[1:]]}
    connection.sendall(json.dumps(order).encode() + b"\n")

    def watch():
        sys.stdin.read()
        connection.sendall(b"input ends\n")

    threading.Thread(target=watch, daemon=True).start()
    lines = []
    for line in connection.makefile("r"):
        kind, _, text = line.rstrip("\n").partition(" ")
        if kind == "end":
            if text != "0":
                print("\n".join(lines[-20:]), file=sys.stderr)
            return int(text)
        lines.append(text)
        print(text, flush=True)
    return 1  # the machine has gone


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("serve")
    one.add_argument("--build", required=True, type=pathlib.Path)
    one.add_argument("--socket", required=True)
    one.add_argument("--kernel", default="6.1", choices=("6.1", "6.12"))
    one.add_argument("--icount", action="store_true")
    one.add_argument("programs", nargs="+", type=pathlib.Path)
    one.set_defaults(do=serve)
    other = commands.add_parser("run")
    other.add_argument("--socket", required=True)
    other.add_argument("place", type=int)
    other.add_argument("command", nargs=argparse.REMAINDER)
    other.set_defaults(do=run)
    arguments = parser.parse_args()
    try:
        status = arguments.do(arguments)
    except (debian.Unavailable, machine.Failed, module.BuildFailed, OSError) as problem:
        print(problem, file=sys.stderr)
        status = 1
    sys.stdout.flush()
    os._exit(status)  # threads may wait for what does not come any more


if __name__ == "__main__":
    main()
