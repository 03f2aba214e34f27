#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starts a cluster of virtual machines, whose kernels carry its messages (kccm.ko), and shows its processes.
May be repeated: machines that run already are used. With COMMAND, runs that in one of them.

    ./up --vm                                   three machines, and what runs in them
    ./up --vm -- clustix status                 a command on node 1
    ./up --vm --node 2 -- dmesg                 on node 2
    build/bin/clustix down                      ends them, without a trace
"""

import argparse
import base64
import contextlib
import fcntl
import functools
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading

import debian
import kccm
import kernels
import machine
import module
import network
import scenario

PORT = 7400
MAX_MACHINES = 9
COMMAND_BYTES = 4000  # what agent.c takes, with some room for its own words
ETC = "/etc/clustix"
# One that fails, or is killed, is started again after a second, as by its systemd unit.
DAEMON = f"until clustixd --config {ETC}/cluster.toml; do sleep 1; done"
PROGRAMS = ("clustix", "clustixd")
# To look at the cluster's /proc with; busybox has others of its own.
TOOLS = ("ps", "pgrep", "pkill", "free", "uptime", "pstree")
# Lets kill(2) in `clustix shell` reach all nodes; in the folder lib of a build.
KILL = "*/clustix/libclustix-kill.so"
HINTS = (
    ("-- clustix nodes", "the nodes, and how they see each other"),
    ("-- clustix status", "that the kernel module carries the messages"),
    ("-- clustix shell -- pstree", "any program, with the cluster's /proc"),
    ("--node 2 -- dmesg", "what the module and its kernel say on node 2"),
    ("--node 2 -- sleep 4242 &", "a process more for the list"),
)


def say(line):
    print(f"up: {line}", flush=True)


class Failed(Exception):
    """What happened, why, and what to do."""


def default_base():
    """That of clustix, see lib/client/socket_path.h."""
    if os.geteuid() == 0:
        return "/run/clustix"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return f"{runtime}/clustix" if runtime else f"/tmp/clustix-{os.geteuid()}"


MARK = ".clustix"  # daemon/cluster/files.h


class Place:
    """The folder in which `clustix down` finds the machines, too (daemon/cluster/machines.h): the base directory's
    name and "-vm"."""

    def __init__(self, base):
        self.folder = pathlib.Path(f"{base}-vm")
        self.control = str(self.folder / "control")

    def make(self):
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise Failed(f"{self.folder} is not a folder of this user (choose another place with --base-dir)")
        mark = self.folder / MARK
        if not mark.exists() and any(self.folder.iterdir()):
            raise Failed(f"{self.folder} holds something else (choose another place with --base-dir)")
        mark.touch()

    def connect(self):
        """A connection to the process that keeps the machines; None if there is none."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.control)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        return connection


# --- the process that keeps the machines ------------------------------------------------------------

class Keeper:
    """Boots the machines, starts the daemons, and runs commands for whoever connects."""

    def __init__(self, arguments):
        self._kernel, self._count = arguments.kernel, arguments.nodes
        self._place = Place(arguments.base_dir)
        self._build = arguments.build
        self._made = made(arguments.build)  # before the machines get the programs

    def run(self):
        """Until SIGTERM, which network.isolate() makes the end of the program."""
        tempfile.tempdir = str(self._place.folder)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._place.control)
            listener.listen()
            machines = scenario.Machines()
            try:
                self._start(machines)
                say("ready")
                # Whoever has started this may go now.
                with open(os.devnull, "w") as nowhere:
                    os.dup2(nowhere.fileno(), sys.stdout.fileno())
                while True:
                    connection = listener.accept()[0]
                    threading.Thread(target=self._serve, args=(connection, machines.all), daemon=True).start()
            finally:
                for problem in machines.switch_off():
                    print(problem, file=sys.stderr)

    def _start(self, machines):
        say(f"booting {self._count} machines with Linux {kernels.get(self._kernel).release}, without KVM")
        tools = [pathlib.Path(path) for path in map(shutil.which, TOOLS) if path]
        kill = next((self._build / "lib").glob(KILL))
        machines.boot([self._kernel] * self._count, self._build / "bin/clustix-vm-agent",
                      [*(self._build / "bin" / name for name in PROGRAMS), *tools],
                      {self._kernel: [build_module(self._build, self._kernel)]}, ("fuse",),
                      files={f"usr/{kill.relative_to(self._build)}": kill})
        say("loading the module kccm and starting clustixd in each")
        for one in machines.all:
            one.do("insmod /modules/kccm.ko")
        self._configure(machines.all)
        daemons = [one.run(DAEMON) for one in machines.all]
        for daemon in daemons:
            daemon.expect(r"\bready\b")
        for daemon in daemons:
            for _ in range(self._count - 1):
                daemon.expect(r"peer changed.*event=up\b")

    @staticmethod
    def _configure(machines):
        """As on real machines: made on one of them, and copied to the others."""
        nodes = " ".join(f"--node {one.number}={one.name}@{one.address}:{PORT}" for one in machines)
        first, *others = machines
        first.do(f"clustix init --dir {ETC} --name vm {nodes}")
        for name in ("cluster.toml", "cluster.key"):
            text = "".join(first.do(f"base64 {ETC}/{name}").split())
            for other in others:
                other.do(f"umask 077; mkdir -p {ETC}; echo {text} | base64 -d >{ETC}/{name}")

    def _serve(self, connection, machines):
        """One request, a line of JSON, and its answer, more of them."""
        def answer(**fields):
            connection.sendall(json.dumps(fields).encode() + b"\n")

        with connection, connection.makefile("rb") as requests, contextlib.suppress(BrokenPipeError):
            request = json.loads(requests.readline())
            if "command" not in request:
                answer(nodes=len(machines), kernel=self._kernel, made=self._made)
                return
            try:
                self._run(machines[request["node"] - 1], request["command"], requests, answer)
            except machine.Failed as failed:
                answer(failed=str(failed))

    @staticmethod
    def _run(one, command, requests, answer):
        job = one.run(command)

        def watch():
            requests.read()  # to the end: whoever asked has gone
            job.kill(signal.SIGHUP)

        threading.Thread(target=watch, daemon=True).start()
        for line in job.follow():
            answer(line=line)
        answer(status=job.status)


# --- what is done on the user's side ----------------------------------------------------------------

def made(build):
    """Tells one build from another: when its programs were made."""
    return [(build / "bin" / name).stat().st_mtime_ns for name in PROGRAMS]


def build_module(build, kernel):
    """kccm.ko, in the folder of the tests."""
    return module.build(kernels.get(kernel), scenario.ROOT, kccm.FOLDERS, build / "vm" / f"kccm-{kernel}")["kccm"]


def start(arguments, place):
    """Starts the machines and waits until they are a cluster."""
    missing = [tool for tool in scenario.TOOLS if not shutil.which(tool)]
    if missing:
        raise Failed(f"not installed: {', '.join(missing)} (as root, ./up --vm installs it)")
    say(f"building kccm.ko for Debian's Linux {arguments.kernel}")
    build_module(arguments.build, arguments.kernel)
    for left in place.folder.iterdir():  # by one that was killed
        if left.name not in ("lock", MARK):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    with open(place.folder / "log", "w") as log:
        keeper = subprocess.Popen(
            [sys.executable, __file__, "--keep", f"--build={arguments.build}", f"--base-dir={arguments.base_dir}",
             f"--kernel={arguments.kernel}", f"--nodes={arguments.nodes}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    try:
        for line in keeper.stdout:
            if line == "up: ready\n":
                return
            print(line, end="", flush=True)
    except BaseException:
        keeper.kill()  # the machines go with it: see network.isolate()
        keeper.wait()
        raise
    keeper.wait()
    why = (place.folder / "log").read_text()[-4000:].removeprefix("up: ").strip()
    raise Failed(f"the machines did not start: {why}")


def ask(connection, **request):
    """The answers to a request, one after the other."""
    with connection, connection.makefile("rw") as stream:
        stream.write(json.dumps(request) + "\n")
        stream.flush()
        for line in stream:
            yield json.loads(line)


def one_line(command):
    """A command of the shell that does the same, for machines take one line, and none that is long."""
    if "\n" in command:
        command = f'eval "$(echo {base64.b64encode(command.encode()).decode()} | base64 -d)"'
    if len(command.encode()) > COMMAND_BYTES:
        raise Failed(f"the command is too long for a machine (at most {COMMAND_BYTES} bytes; fewer with newlines)")
    return command


def run(place, node, command, take):
    """Runs a command in a machine, and hands each line that it prints to take(); its exit status."""
    connection = place.connect()
    if connection is None:
        raise Failed("the machines are gone (./up --vm starts them)")
    for answer in ask(connection, node=node, command=one_line(command)):
        if "line" in answer:
            take(answer["line"])
        elif "status" in answer:
            return answer["status"]
        else:
            raise Failed(answer["failed"])
    raise Failed("the machine was switched off meanwhile")


def output(place, command):
    """What a command prints that must succeed, line by line."""
    lines = []
    if run(place, 1, command, lines.append) != 0:
        raise Failed(f"{command} failed on node 1: {' '.join(lines)}")
    return lines


def check_running(running, arguments):
    if running["made"] != made(arguments.build):
        raise Failed("the machines run another build (build/bin/clustix down ends them; then try again)")
    for name, wanted in (("nodes", arguments.nodes), ("kernel", arguments.kernel)):
        if wanted and running[name] != wanted:
            raise Failed(f"machines run already, with --{name} {running[name]} (build/bin/clustix down ends them)")


def show(place):
    transport = next(line for line in output(place, "clustix status") if line.startswith("Transport"))
    heading, *processes = output(place, "clustix ps -o node,pid,comm,args")
    # Fifty of each kernel's own are in nobody's interest.
    shown = [line for line in processes if not line.rstrip().endswith("]")]
    print("", transport, "", *output(place, "clustix nodes"), "", heading, *shown, sep="\n")
    print(f"and {len(processes) - len(shown)} threads of the kernels\n\nTry next:")
    for options, why in HINTS:
        print(f"  {'./up --vm ' + options:42}   # {why}")
    print(f"  {'build/bin/clustix down':42}   # end them, without a trace")


def bring_up(arguments):
    place = Place(arguments.base_dir)
    place.make()
    with open(place.folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = place.connect()
        if connection:
            running = next(ask(connection))
            check_running(running, arguments)
            say(f"{running['nodes']} machines run already")
        else:
            arguments.kernel = arguments.kernel or "6.1"
            arguments.nodes = arguments.nodes or 3
            start(arguments, place)
    show(place)
    return 0


def run_command(arguments):
    place = Place(arguments.base_dir)
    connection = place.connect()
    if connection is None:
        raise Failed("no machines run (./up --vm starts them)")
    nodes = next(ask(connection))["nodes"]
    if not 1 <= arguments.node <= nodes:
        raise Failed(f"there is no node {arguments.node} (there are {nodes})")
    return run(place, arguments.node, shlex.join(arguments.command), functools.partial(print, flush=True))


def parse():
    parser = argparse.ArgumentParser(
        prog="./up --vm", usage="./up --vm [--nodes N] [--kernel 6.1|6.12] [--base-dir DIR] [[--node ID] -- COMMAND...]",
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--nodes", type=int, choices=range(1, MAX_MACHINES + 1), metavar="N",
                        help=f"how many machines, 1 to {MAX_MACHINES} (default: 3)")
    parser.add_argument("--kernel", choices=sorted(kernels.STOCK), help="Debian's Linux 6.1 (default) or 6.12")
    parser.add_argument("--base-dir", default=default_base(), metavar="DIR",
                        help="as of clustix up and down: the machines are kept in DIR-vm (default: %(default)s)")
    parser.add_argument("--node", type=int, default=1, metavar="ID", help="where to run COMMAND (default: 1)")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="what to run, without input")
    return parser.parse_args()


def main():
    arguments = parse()
    arguments.build = arguments.build.resolve()
    try:
        if arguments.keep:
            network.isolate()
            return Keeper(arguments).run()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as of any program before `| head`
        return run_command(arguments) if arguments.command else bring_up(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (Failed, debian.Unavailable, machine.Failed, module.BuildFailed) as failed:
        print(f"up: {failed}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
