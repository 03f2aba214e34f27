#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A peer program of the messaging benchmark keeps the harness's contract.

Each mode that it describes is run for a moment; the program itself checks every reply and the
server's count of one-way messages. The congestion control that every Linux has is asked for, so
that a peer that cannot set it fails. Last, the server is ended and has to leave nothing that
listens: a client that comes then has to say so and fail.

usage: peer_test.py PROGRAM
"""

import json
import os
import subprocess
import sys

PATIENCE_S = 60
CASES = {"sync": [(1, 1), (64, 1), (1 << 20, 1)],
         "async": [(64, 64), (64, 1024), (1 << 20, 4)],
         "oneway": [(1, 1), (64, 1), (1 << 20, 1)]}
CONGESTION = ["--congestion", "reno"]


def fail(what):
    print(f"FAILED: {what}")
    sys.exit(1)


def client(program, address, mode, size, window, server_pid):
    return subprocess.run(
        [program, "run", "--address", address, "--mode", mode, "--size", str(size),
         "--window", str(window), "--duration-ms", "100", "--warmup-ms", "20",
         "--server-pid", str(server_pid), *CONGESTION],
        capture_output=True, text=True, timeout=PATIENCE_S)


def check_result(what, mode, size, run):
    if run.returncode != 0:
        fail(f"{what}: exit code {run.returncode}: {run.stderr.strip()}")
    result = json.loads(run.stdout)
    if result["messages"] < 1 or result["seconds"] <= 0 or result["cpu_us_per_msg"] <= 0:
        fail(f"{what}: {run.stdout}")
    mb_per_s = result["messages"] * size / result["seconds"] / 1e6
    if abs(result["mb_per_s"] - mb_per_s) > 0.01 * mb_per_s:
        fail(f"{what}: {result['mb_per_s']} MB/s are not {mb_per_s}")
    if mode != "oneway" and not 0 < result["p50_us"] <= result["p99_us"]:
        fail(f"{what}: the percentiles {result['p50_us']} and {result['p99_us']}")
    if result.get("syscalls_per_msg", 1) <= 0:
        fail(f"{what}: {result['syscalls_per_msg']} system calls per message")
    print(f"{what}: {result['messages']} messages")


def main():
    program = sys.argv[1]
    described = json.loads(subprocess.run([program, "describe"], capture_output=True, text=True,
                                          check=True, timeout=PATIENCE_S).stdout)
    if "bench-msg-" + described["name"] != os.path.basename(program) or not described["modes"]:
        fail(f"describes itself as {described}")
    server = subprocess.Popen([program, "serve", "--address", "127.0.0.1:0", *CONGESTION],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        word, _, address = server.stdout.readline().strip().partition(" ")
        if word != "listening" or not address:
            fail("the server does not say where it listens")
        for mode in described["modes"]:
            for size, window in CASES[mode]:
                run = client(program, address, mode, size, window, server.pid)
                check_result(f"{mode}, {size} B, {window} outstanding", mode, size, run)
        server.stdin.close()
        if server.wait(PATIENCE_S) != 0:
            fail(f"the server ended with exit code {server.returncode}")
    finally:
        server.kill()
    run = client(program, address, described["modes"][0], 64, 1, os.getpid())
    if run.returncode != 1 or not run.stderr.strip():
        fail(f"without a server, a client ends with {run.returncode}: {run.stderr}")
    print(f"without a server: {run.stderr.strip()}")


if __name__ == "__main__":
    main()
