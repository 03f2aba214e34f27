#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/examples do what they say: run as their comments tell, output compared."""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile

DEADLINE_S = 60


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=False)


def expect(what, wanted, is_now):
    if wanted != is_now:
        sys.exit(f"{what}: expected {wanted!r}, found {is_now!r}")


def async_call(program):
    done = run(program)
    expect("exit code", 0, done.returncode)
    expect("output", "sum of squares: 332833500, failed: 0\n", done.stdout)


def sync_call(program):
    expect("exit code without arguments", 2, run(program).returncode)
    with subprocess.Popen([program, "serve", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            what, _, address = server.stdout.readline().strip().rpartition(" ")
            expect("the server's first line", "listening on", what)
            for word in ("hello", "again"):  # a second caller is a restart of node 1
                called = run(program, "call", address, word)
                expect("exit code", 0, called.returncode)
                expect("output", f"node 2 says: {word.upper()}\n", called.stdout)
            taken = run(program, "serve", address)
            expect("exit code of a second server", 1, taken.returncode)
        finally:
            server.kill()


@contextlib.contextmanager
def daemon_of_sets(program):
    """A daemon that programs find; it ends with its stdin."""
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as daemon:
        os.environ["CLUSTIX_SOCKET"] = daemon.stdout.readline().strip()
        yield
        daemon.stdin.close()
        expect("the daemon's exit code", 0, daemon.wait(DEADLINE_S))


def counter(program):
    expect("exit code without arguments", 1, run(program).returncode)
    expect("output", "5\n", run(program, "7", "add", "5").stdout)
    with subprocess.Popen([program, "7", "follow"], stdout=subprocess.PIPE, text=True) as follower:
        expect("the follower's first line", "5\n", follower.stdout.readline())
        expect("output", "8\n", run(program, "7", "add", "3").stdout)
        expect("the follower's second line", "8\n", follower.stdout.readline())
        expect("output", "0\n", run(program, "7", "add", "-8").stdout)
        expect("the follower's last line", "0\n", follower.stdout.readline())
        expect("exit code", 0, follower.wait(DEADLINE_S))


def histogram(program):
    expect("exit code without arguments", 2, run(program).returncode)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"abc" * 100_000)
        file.flush()
        workers = [subprocess.Popen([program, file.name, "example/histogram"], stdout=subprocess.PIPE,
                                    text=True) for _ in range(3)]
        parts = 0
        for worker in workers:
            output, _ = worker.communicate(timeout=DEADLINE_S)
            expect("exit code", 0, worker.returncode)
            parts += int(output.split()[1])
        expect("parts", 5, parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("example", choices=["sync_call", "async_call", "counter", "histogram"])
    parser.add_argument("program")
    parser.add_argument("source")
    parser.add_argument("daemon")
    args = parser.parse_args()
    with open(args.source, encoding="utf-8") as source:
        lines = len(source.readlines())
    if lines > 60:
        sys.exit(f"{args.source} has {lines} lines: an example is read at a glance, in 60 at most")
    test = {"sync_call": sync_call, "async_call": async_call, "counter": counter, "histogram": histogram}
    with daemon_of_sets(args.daemon) if args.example in ("counter", "histogram") else contextlib.nullcontext():
        test[args.example](args.program)


if __name__ == "__main__":
    main()
