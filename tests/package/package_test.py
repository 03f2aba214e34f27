#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: what is in them, and that manual pages and completion say what the commands do."""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIP = 77
ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ("clustix.1", "clustixd.8", "cluster.toml.5", "kccm.4")

# Files and links, "*" for the version; besides these each has its copyright and changelog.
CONTENTS = {
    "clustix": {"usr/bin/clustix", "usr/bin/clustixd", "usr/lib/systemd/system/clustixd.service",
                "usr/lib/systemd/system/clustixd-session.socket",
                "usr/lib/systemd/system/clustixd-session@.service",
                "usr/lib/x86_64-linux-gnu/clustix/libclustix-kill.so",
                "usr/share/bash-completion/completions/clustix", "usr/share/man/man1/clustix.1.gz",
                "usr/share/man/man5/cluster.toml.5.gz", "usr/share/man/man8/clustixd.8.gz"},
    "libclustix0": {"usr/lib/x86_64-linux-gnu/libclustix.so.0", "usr/lib/x86_64-linux-gnu/libclustix.so.*"},
    "libclustix-dev": {"usr/lib/x86_64-linux-gnu/libclustix.so", "usr/lib/x86_64-linux-gnu/pkgconfig/clustix.pc",
                       "usr/include/clustix/kccm.h",
                       *(f"usr/include/clustix/{path.name}" for path in ROOT.glob("include/clustix/*.h")),
                       *(f"usr/share/doc/libclustix-dev/examples/{name}"
                         for name in ("sync_call.c", "async_call.cc", "counter.cc", "histogram.c", "kccm_ring.c"))},
    "clustix-dkms": {"usr/src/clustix-*/dkms.conf", "usr/src/clustix-*/Kbuild",
                     "usr/share/man/man4/kccm.4.gz", "usr/share/doc/clustix-dkms/examples/kccm_sample.c",
                     "usr/share/doc/clustix-dkms/examples/Makefile",
                     *(f"usr/src/clustix-*/{path.relative_to(ROOT)}"
                       for folder in ("kmod", "lib/session", "include/uapi")
                       for path in ROOT.glob(f"{folder}/*.[ch]"))},
}

# What lintian finds and stays: CPack itself adds these scripts to a package with a library.
LINTIAN_KNOWN = {"W: libclustix0: maintscript-calls-ldconfig [postinst]",
                 "W: libclustix0: maintscript-calls-ldconfig [postrm]"}

_build = None


def output(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout


def package(name):
    return next((_build / "packages").glob(f"{name}_*.deb"))


def version():
    return output("dpkg-deb", "-f", package("clustix"), "Version").strip()


class Contents(unittest.TestCase):
    def test_each_package_has_its_files_and_no_others(self):
        for name, wanted in CONTENTS.items():
            with self.subTest(package=name):
                lines = output("dpkg-deb", "-c", package(name)).splitlines()
                paths = {line.split()[5].removeprefix("./"): line for line in lines if line[0] != "d"}
                documents = {f"usr/share/doc/{name}/{file}" for file in ("copyright", "changelog.gz")}
                self.assertEqual(set(paths), {path.replace("*", version()) for path in wanted} | documents)
                for path, line in paths.items():
                    mode = "lrwxrwxrwx" if line[0] == "l" else (
                        "-rwxr-xr-x" if path.startswith("usr/bin/") else "-rw-r--r--")
                    self.assertTrue(line.startswith(f"{mode} root/root"), line)

    def test_programs_depend_on_the_libraries_that_they_load(self):
        depends = output("dpkg-deb", "-f", package("clustix"), "Depends")
        for library in ("libc6", "libfuse3-3", "liburing2", "libssl3", "libsystemd0", "libcapnp"):
            self.assertIn(library, depends)
        self.assertIn(f"libclustix0 (= {version()})", output("dpkg-deb", "-f", package("libclustix-dev"), "Depends"))

    def test_lintian_finds_nothing_new(self):
        if not shutil.which("lintian"):
            self.skipTest("not installed: lintian")
        found = subprocess.run(["lintian", "--allow-root", *map(str, (_build / "packages").glob("*.deb"))],
                               capture_output=True, text=True)
        # Whoever builds a package here need not have an address that mail reaches.
        builder = output("dpkg-deb", "-f", package("clustix"), "Maintainer").rpartition("<")[2].rstrip(">\n")
        self.assertEqual({line for line in found.stdout.splitlines() if builder not in line}, LINTIAN_KNOWN,
                         found.stderr)

    def test_the_units_are_ones_that_systemd_understands(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("not installed: systemd")
        with tempfile.TemporaryDirectory() as folder:
            output("dpkg-deb", "-x", package("clustix"), folder)
            units = sorted(pathlib.Path(folder, "usr/lib/systemd/system").glob("clustixd*"))
            self.assertEqual(len(units), 3)
            for unit in units:
                # They run what is not installed here.
                unit.write_text(unit.read_text().replace("/usr/bin/clustixd", "/bin/true"))
            self.assertEqual(output("systemd-analyze", "verify", "--man=no", *units), "")


class Module(unittest.TestCase):
    def test_its_package_builds_as_dkms_builds_it(self):
        """On the newest kernel; tests/vm/install_test.py has DKMS do it on the oldest."""
        headers = sorted(pathlib.Path("/usr/src").glob("linux-headers-*-amd64"),
                         key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)])
        if not headers:
            self.skipTest("no kernel headers are installed (linux-headers-cloud-amd64)")
        with tempfile.TemporaryDirectory() as folder:
            output("dpkg-deb", "-x", package("clustix-dkms"), folder)
            tree = pathlib.Path(folder, f"dkms/clustix/{version()}")
            tree.mkdir(parents=True)
            pathlib.Path(folder, f"usr/src/clustix-{version()}").rename(tree / "build")
            # As dkms reads it: a script of the shell.
            output("bash", "-euc", '. "$1"; eval "${MAKE[0]}"; [[ $KERNEL =~ $BUILD_EXCLUSIVE_KERNEL ]]',
                   "bash", tree / "build/dkms.conf",
                   env={**os.environ, "MAKEFLAGS": f"-j{os.cpu_count()}", "dkms_tree": f"{folder}/dkms",
                        "kernel_source_dir": str(headers[-1]),
                        "KERNEL": headers[-1].name.removeprefix("linux-headers-")})
            built = sorted(path.relative_to(tree / "build") for path in tree.rglob("*.ko"))
            self.assertEqual(built, [pathlib.Path("kccm.ko")])
            # And what uses it, as the page kccm(4) says.
            sample = pathlib.Path(folder, "usr/share/doc/clustix-dkms/examples")
            output("make", "-C", sample, f"KERNEL={headers[-1]}", f"KCCM={tree / 'build'}")
            self.assertTrue((sample / "kccm_sample.ko").exists())


class Help:
    """What `--help` lists of a command and of those below it: {"bench msg": options}; and what they take besides."""

    def __init__(self, program):
        self.commands = {}
        self.arguments = {}
        self._read(program, ())

    def _read(self, program, path):
        text = output(_build / "bin" / program, *path, "--help")
        options = text.partition("\nOptions:\n")[2].partition("\n\n")[0]
        self.commands[" ".join(path)] = {
            name for line in options.splitlines() if re.match(r"  -", line)
            for name in line.split()[0].split(",")} - {"-h", "--help"}
        self.arguments[" ".join(path)] = re.search(r"^Usage:.* \[OPTIONS\](.*)$", text, re.MULTILINE).group(1).lower()
        for line in text.partition("\nSubcommands:\n")[2].partition("\n\n")[0].splitlines():
            self._read(program, (*path, line.split()[0]))


class Manual(unittest.TestCase):
    def test_pages_are_well_formed(self):
        if not shutil.which("mandoc"):
            self.skipTest("not installed: mandoc")
        pages = sorted((ROOT / "docs/man").iterdir())
        self.assertEqual(sorted(page.name for page in pages), sorted(PAGES))
        for page in pages:
            self.assertEqual(output("mandoc", "-T", "lint", "-W", "warning", page), "")

    @staticmethod
    def sections(page):
        """{heading: text} of the options' sections; "" is what stands before the first command."""
        text = (ROOT / "docs/man" / page).read_text().partition(".Sh DESCRIPTION\n")[2].partition("\n.Sh ")[0]
        first, *rest = re.split(r"^\.Ss ", text, flags=re.MULTILINE)
        return {"": first, **dict(part.split("\n", 1) for part in rest)}

    def test_nothing_is_explained_twice(self):
        for page in PAGES:
            section, seen = "", set()
            for line in (ROOT / "docs/man" / page).read_text().splitlines():
                if line.startswith((".Sh ", ".Ss ")):
                    section = line
                elif not line.startswith(".It Fl "):
                    continue
                self.assertNotIn((section, line), seen, page)
                seen.add((section, line))

    def assert_documented(self, commands, sections):
        for command, options in commands.items():
            self.assertIn(command, sections)
            documented = {"-" + name for name in re.findall(r"(?:Fl|,) (-?[a-zA-Z][a-z-]*)",
                          "\n".join(line for line in sections[command].splitlines() if line.startswith(".It Fl")))}
            self.assertEqual(documented - {"-h", "--help"}, options, f"options of {command or 'the program'}")

    def test_clustix_1_has_every_command_and_option(self):
        commands = Help("clustix").commands
        # One that only has others below it.
        groups = {name for name in commands if name and any(other.startswith(name + " ") for other in commands)}
        sections = self.sections("clustix.1")
        self.assertEqual(set(sections), set(commands) - groups)
        self.assert_documented({name: options for name, options in commands.items() if name not in groups}, sections)

    def test_clustix_1_has_a_line_for_each_command_that_says_what_it_takes(self):
        arguments = Help("clustix").arguments
        for command, text in self.sections("clustix.1").items():
            if not command:
                continue
            line = text.partition("\n")[0]
            self.assertTrue(line.startswith(f".D1 Nm Ic {command} "), line)
            line = re.sub(r"Op (.*)$", r"[\1]", line.replace("Oo ", "[").replace(" Oc", "]"))
            line = re.sub(r"(Ar|Fl -) ", "", line).replace(" ...", "...")
            self.assertTrue(line.endswith(arguments[command]), f"{line} of {arguments[command]}")

    def test_clustixd_8_has_every_option(self):
        self.assert_documented(Help("clustixd").commands, self.sections("clustixd.8"))

    def test_cluster_toml_5_has_every_key(self):
        keys = set(re.findall(r'^//   (\w+) = ', (ROOT / "daemon/config.h").read_text(), re.MULTILINE))
        self.assertTrue(keys)
        page = (ROOT / "docs/man/cluster.toml.5").read_text()
        self.assertEqual(set(re.findall(r"^\.It Cm (\w+)$", page, re.MULTILINE)), keys)


class Completion(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        output("dpkg-deb", "-x", package("clustix"), scratch.name)
        self.script = pathlib.Path(scratch.name, "usr/share/bash-completion/completions/clustix")

    def complete(self, *words):
        """What bash would offer for the last of these words."""
        offered = output(
            "bash", "-uc", '. "$1"; shift; compopt() { echo "($2)"; }; '
            'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _clustix; printf "%s\\n" "${COMPREPLY[@]}"',
            "bash", self.script, "clustix", *words)
        return set(offered.split())

    def test_offers_every_command_and_option(self):
        commands = Help("clustix").commands
        inherited = {"--socket", "-h", "--help"}
        for command, options in commands.items():
            words = command.split()
            self.assertEqual(self.complete(*words, "-"), options | inherited, command)
            below = {name.split()[len(words)] for name in commands
                     if name.split()[:len(words)] == words and name != command}
            if below:
                self.assertEqual(self.complete(*words, ""), below)

    def test_offers_what_an_option_takes(self):
        self.assertEqual(self.complete("init", "--dir", ""), {"(dirnames)"})
        self.assertEqual(self.complete("--socket", ""), {"(default)"})
        self.assertEqual(self.complete("--socket", "/run/x", "do"), {"down"})
        self.assertEqual(self.complete("up", "--nodes", ""), set())


def main():
    global _build
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=pathlib.Path, help="the build folder")
    parser.add_argument("tests", nargs="*", help="CLASS or CLASS.test_...; all if none is named")
    arguments = parser.parse_args()
    _build = arguments.build.resolve()
    result = unittest.main(argv=[sys.argv[0], *arguments.tests], exit=False, verbosity=2).result
    for _, reason in result.skipped:
        print(f"SKIP: {reason}")
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIP if result.skipped and len(result.skipped) == result.testsRun else 0)


if __name__ == "__main__":
    main()
