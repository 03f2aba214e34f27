#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/examples do what they say: run as their comments tell, output compared."""

import argparse
import subprocess
import sys

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("example", choices=["sync_call", "async_call"])
    parser.add_argument("program")
    parser.add_argument("source")
    args = parser.parse_args()
    with open(args.source, encoding="utf-8") as source:
        lines = len(source.readlines())
    if lines > 60:
        sys.exit(f"{args.source} has {lines} lines: an example is read at a glance, in 60 at most")
    {"sync_call": sync_call, "async_call": async_call}[args.example](args.program)


if __name__ == "__main__":
    main()
