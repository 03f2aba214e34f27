#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The library as it is installed: headers, libclustix.so and pkg-config file make the examples."""

import argparse
import glob
import os
import re
import subprocess
import tempfile


def output(*command, **environment):
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **environment})
    return done.stdout.strip()


def check_symbols(library, headers):
    """The library shows the functions of the C headers, classes of the C++ API, and nothing else."""
    symbols = output("nm", "-D", "--defined-only", library).splitlines()
    shown = {line.split()[-1].split("@")[0] for line in symbols}
    declared = set()
    for header in headers:
        with open(header, encoding="utf-8") as file:
            declared |= set(re.findall(r"^(?!typedef)[a-z0-9_ ]+\*? (clustix_\w+)\(", file.read(), re.MULTILINE))
    shown -= {"CLUSTIX_0", "CLUSTIX_CXX_0"}
    functions = {name for name in shown if not name.startswith("_Z")}
    assert functions == declared, functions ^ declared
    foreign = [name for name in shown - functions if not re.match(r"_ZN?K?7clustix", name)]
    assert not foreign, foreign


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cmake", "build", "examples", "cc", "cxx"):
        parser.add_argument(name)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "prefix")
        for component in ("libclustix", "libclustix-dev"):
            output(args.cmake, "--install", args.build, "--component", component, "--prefix", prefix)
        pc = glob.glob(os.path.join(prefix, "**", "clustix.pc"), recursive=True)[0]
        flags = output("pkg-config", "--cflags", "--libs", "clustix",
                       PKG_CONFIG_PATH=os.path.dirname(pc)).split()
        library = output("pkg-config", "--variable=libdir", "clustix",
                         PKG_CONFIG_PATH=os.path.dirname(pc))
        check_symbols(os.path.join(library, "libclustix.so"),
                      [os.path.join(prefix, "include", "clustix", name) for name in ("clustix.h", "sets_c.h")])
        strict = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
        for compiler, standard, name in ((args.cc, "c11", "sync_call.c"), (args.cc, "c11", "histogram.c"),
                                         (args.cxx, "c++20", "counter.cc"), (args.cxx, "c++20", "async_call.cc")):
            program = os.path.join(folder, "program")
            output(compiler, f"-std={standard}", *strict, os.path.join(args.examples, name), *flags,
                   "-pthread", "-o", program)
            linked = output("ldd", program, LD_LIBRARY_PATH=library)
            where = next(line.split()[2] for line in linked.splitlines() if "libclustix.so.0" in line)
            assert os.path.samefile(os.path.dirname(where), library), linked
        print(output(program, LD_LIBRARY_PATH=library))  # the last one needs no arguments


if __name__ == "__main__":
    main()
