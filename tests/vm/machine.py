# SPDX-License-Identifier: Apache-2.0
"""A virtual machine in QEMU without KVM, and the programs in it.

The kernel's log comes over the first serial port, the agent (agent.c, which has the protocol) is at
the second. One thread per machine reads both; everybody else waits for what it has read. Nothing here
sleeps: what a test waits for is a line of output, a line of the kernel's log or the end of a program.
"""

import pathlib
import re
import selectors
import signal
import socket
import subprocess
import threading
import time

# How long to wait for anything. Generous: without KVM, and with other work on the machine's cores, a
# machine is 10 to 100 times slower. Only a failing test waits that long.
PATIENCE_S = 400
FOR_EVER_S = 10**6

# What a kernel says only when something is wrong with it.
SPLAT = re.compile(
    r"BUG:|WARNING:|Oops|Call Trace|Kernel panic|general protection|UBSAN|refcount_t|KASAN"
    r"|INFO: task .* blocked|detected stalls?|self-detected stall|ODEBUG:|possible .*deadlock"
    r"|circular locking|inconsistent lock state|suspicious RCU|bad unlock balance|held lock freed"
    r"|sleeping function|scheduling while atomic|list_(add|del) corruption|unregister_netdevice: waiting"
    r"|new suspected memory leaks")


class Failed(AssertionError):
    """A machine did not do what the test waits for."""


class Job:
    """A program in a machine."""

    def __init__(self, machine, number, command):
        self._machine, self._number = machine, number
        self.command = command
        self.lines = []     # what it has printed
        self.status = None  # its exit code, or 128 + signal; None while it runs
        self._read = 0      # lines that expect() has passed

    def expect(self, pattern, patience=PATIENCE_S):
        """Waits for its next line that matches; the match."""
        self._read, found = self.find(pattern, self._read, patience)
        return found

    def find(self, pattern, begin, patience=PATIENCE_S):
        """Waits for a line that matches, number `begin` or later: the number of the one after it, the match."""
        found, at = None, begin

        def arrived():
            nonlocal found, at
            while not found and at < len(self.lines):
                found = re.search(pattern, self.lines[at])
                at += 1
            return found or self.status is not None

        self._machine.await_event(arrived, patience, f"{self.command}: a line like {pattern!r}")
        if not found:
            raise Failed(f"{self._machine.name}: {self.command} ended with {self.status} without a line "
                         f"like {pattern!r}:\n" + "\n".join(self.lines[-40:]))
        return at, found

    def wait(self, patience=PATIENCE_S):
        """Waits for its end; its status."""
        self._machine.await_event(lambda: self.status is not None, patience, f"the end of {self.command}")
        return self.status

    def follow(self):
        """Its lines as they come, until its end."""
        passed = 0
        while True:
            self._machine.await_event(lambda: len(self.lines) > passed or self.status is not None,
                                      FOR_EVER_S, f"more of {self.command}")
            if len(self.lines) == passed:
                return
            for line in self.lines[passed:]:
                passed += 1
                yield line

    def succeed(self, patience=PATIENCE_S):
        """Waits for its end, which must be with 0; what it printed."""
        if self.wait(patience) != 0:
            raise Failed(f"{self._machine.name}: {self.command} ended with {self.status}:\n"
                         + "\n".join(self.lines[-60:]))
        return "\n".join(self.lines)

    def input(self, text):
        self._machine.tell(f"input {self._number} {text}")

    def close_input(self):
        self._machine.tell(f"close {self._number}")

    def kill(self, number=signal.SIGKILL):
        self._machine.tell(f"kill {self._number} {int(number)}")


class Machine:
    """Switched on by the constructor; booted() awaits its agent."""

    def __init__(self, name, kernel, image, folder, address=None, tap=None, number=1, disk=None,
                 icount=False):
        self.name, self.kernel, self.address, self.number = name, kernel, address, number
        self.log = []  # the kernel's lines
        self._log_begin = 0  # of the test
        self._log_read = 0
        self._jobs = []
        self._changed = threading.Condition()
        self._ready = self._ended = False
        with Ports(folder, name) as ports:
            self._qemu = subprocess.Popen(
                self._command(image, ports, tap, disk, icount), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True)
            try:
                self._console, self._control = ports.accept()
            except TimeoutError as late:
                self._qemu.kill()
                raise Failed(f"{name}: QEMU does not start:\n{self._qemu.communicate()[0]}") from late
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _command(self, image, ports, tap, disk, icount):
        # Stalls are measured in the time of a machine that its host may not run for seconds.
        arguments = ["console=ttyS0", "loglevel=8", "panic=-1", "tsc=reliable", "printk.time=1", "rcupdate.rcu_cpu_stall_timeout=120",
                     # 256 terminals that nobody opens cost the debug kernel two seconds.
                     "pty.legacy_count=0", f"vm_name={self.name}"]
        card = ["-nic", "none"]
        if tap:
            arguments.append(f"vm_address={self.address}/24")
            card = ["-nic", f"tap,ifname={tap},script=no,downscript=no,model=virtio-net-pci,"
                            f"mac=52:54:00:77:00:{self.number:02x}"]
        drive = ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"] if disk else []
        # With icount, time is a count of instructions, and jumps while there is nothing to do.
        processors = ["-accel", "tcg,thread=multi", "-smp", "2"]
        if icount:
            processors = ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"]
        # q35, because the debug kernel interprets the ACPI methods of the older machine for half a
        # minute. Without 5-level page tables, because 6.1 forgets for a moment of its boot that it
        # has them, and KASAN takes an interrupt of that moment for a wild access.
        return ["qemu-system-x86_64", *processors, "-machine", "q35,hpet=off",
                "-cpu", "max,la57=off", "-m", "768", "-display", "none", "-no-reboot", "-nodefaults", *card, *drive,
                "-chardev", f"socket,id=console,path={ports.console}", "-serial", "chardev:console",
                "-chardev", f"socket,id=control,path={ports.control}", "-serial", "chardev:control",
                "-kernel", str(self.kernel.image), "-initrd", str(image),
                "-append", " ".join(arguments)]

    # --- what the machine says

    def _read(self):
        selector = selectors.DefaultSelector()
        takers = {self._console: self._take_log, self._control: self._take_message}
        rest = {}
        for port in takers:
            selector.register(port, selectors.EVENT_READ)
            rest[port] = b""
        while selector.get_map():
            for key, _ in selector.select():
                port = key.fileobj
                try:
                    read = port.recv(65536)
                except ConnectionResetError:
                    read = b""
                if not read:
                    selector.unregister(port)
                *lines, rest[port] = (rest[port] + read).split(b"\n")
                with self._changed:
                    for line in lines:
                        takers[port](line.decode(errors="replace").rstrip("\r"))
                    self._changed.notify_all()
        self._qemu.communicate()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take_log(self, line):
        self.log.append(line)

    def _take_message(self, line):
        kind, _, rest = line.partition(" ")
        number, _, text = rest.partition(" ")
        if kind == "ready":
            self._ready = True
        elif kind == "out":
            self._jobs[int(number)].lines.append(text)
        elif kind == "end":
            self._jobs[int(number)].status = int(text)

    # --- what a test waits for

    def await_event(self, holds, patience, what):
        """Waits until holds(), which is asked whenever the machine has said something."""
        deadline = time.monotonic() + patience
        with self._changed:
            while not holds():
                left = deadline - time.monotonic()
                if self._ended:
                    raise Failed(f"{self.name} was switched off; awaited: {what}\n{self.tail()}")
                if left <= 0:
                    raise Failed(f"{self.name}: not within {patience} s: {what}\n{self.tail()}")
                self._changed.wait(left)

    def booted(self):
        self.await_event(lambda: self._ready, PATIENCE_S, "the end of the boot")

    def expect_log(self, pattern, patience=PATIENCE_S):
        """Waits for the next line of the kernel's log that matches; the match."""
        found = None

        def arrived():
            nonlocal found
            while not found and self._log_read < len(self.log):
                found = re.search(pattern, self.log[self._log_read])
                self._log_read += 1
            return found

        self.await_event(arrived, patience, f"a line of the kernel like {pattern!r}")
        return found

    def mark(self, text):
        """Puts a line into the kernel's log. When this returns, all that the kernel said before is read."""
        self.do(f"echo 'vm: {text}' >/dev/kmsg")
        self.expect_log(f"vm: {re.escape(text)}$")

    def begin(self, test):
        """From here on the log is that of another test."""
        self.mark(test)
        self._log_begin = self._log_read

    def tail(self, lines=60):
        return "\n".join(self.log[self._log_begin:][-lines:])

    def splats(self):
        with self._changed:
            return [line for line in self.log[self._log_begin:] if SPLAT.search(line)]

    # --- what a test does

    def tell(self, message):
        self._control.sendall(message.encode() + b"\n")

    def run(self, command):
        """Starts a command of the shell; a Job."""
        if "\n" in command:
            raise ValueError("a command is one line")
        with self._changed:
            job = Job(self, len(self._jobs), command)
            self._jobs.append(job)
        self.tell(f"run {job._number} {command}")
        return job

    def do(self, command, patience=PATIENCE_S):
        """Runs a command that must succeed; what it printed."""
        return self.run(command).succeed(patience)

    def end_jobs(self):
        """Kills what runs, and waits for its end."""
        running = [job for job in self._jobs if job.status is None]
        for job in running:
            job.kill()
        for job in running:
            job.wait()

    def leaks(self):
        """What the debug kernel's kmemleak finds: "" or memory that nothing points to, with the stacks
        of its allocation."""
        # What is younger than five seconds is not looked at; what the first scan finds may still be on its
        # way into a list, what both find is lost.
        self.do("sleep 6; echo scan >/sys/kernel/debug/kmemleak; echo scan >/sys/kernel/debug/kmemleak")
        return self.do("cat /sys/kernel/debug/kmemleak")

    def disturb(self, how):
        """What the machine sends suffers `how`, in the words of netem: "loss 10% delay 5ms"."""
        # By its path: busybox's shell prefers its own tc, which knows no netem.
        self.do(f"/usr/bin/tc qdisc replace dev eth0 root netem {how}")

    def leave_in_peace(self):
        self.do("/usr/bin/tc qdisc delete dev eth0 root")

    def kill(self):
        """The machine is gone from one instruction to the next, as when its power fails."""
        self._qemu.kill()
        self._reader.join()

    def switch_off(self):
        """In order; fails if it takes too long."""
        if not self._ended:
            self.tell("off")
        self._reader.join(PATIENCE_S)
        if self._reader.is_alive():
            self.kill()
            raise Failed(f"{self.name} could not be switched off:\n{self.tail()}")
        self._console.close()
        self._control.close()


class Ports:
    """The sockets at which QEMU, when it starts, connects the machine's serial ports."""

    def __init__(self, folder, name):
        self.console = str(pathlib.Path(folder) / f"{name}.console")
        self.control = str(pathlib.Path(folder) / f"{name}.control")

    def __enter__(self):
        self._listeners = []
        for path in (self.console, self.control):
            listener = socket.socket(socket.AF_UNIX)
            listener.settimeout(PATIENCE_S)
            pathlib.Path(path).unlink(missing_ok=True)  # of a machine whose power failed
            listener.bind(path)
            listener.listen(1)
            self._listeners.append(listener)
        return self

    def accept(self):
        connections = [listener.accept()[0] for listener in self._listeners]
        for connection in connections:
            connection.settimeout(None)
        return connections

    def __exit__(self, *_):
        for listener in self._listeners:
            listener.close()
