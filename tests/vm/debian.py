# SPDX-License-Identifier: Apache-2.0
"""Packages of this machine's apt sources: looked up, downloaded and unpacked, never installed."""

import pathlib
import re
import subprocess
import tempfile


class Unavailable(Exception):
    """A package cannot be had here: a reason to skip, not to fail."""


def _output(*command):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(command)}: {error.stderr.strip()}") from error


def version(package):
    """The version that apt would install."""
    found = re.search(r"Candidate: (\S+)", _output("apt-cache", "policy", package))
    if not found or found[1] == "(none)":
        raise Unavailable(f"{package} is not known to apt here; apt-get update first")
    return found[1]


def dependencies(package):
    """The names that `package` depends on directly; of alternatives, all."""
    listing = _output("apt-cache", "depends", "--important", "--no-recommends", package)
    names = re.findall(r"^ [ |]Depends: (\S+)", listing, re.MULTILINE)
    if not names:
        raise Unavailable(f"{package} is not known to apt here; apt-get update first")
    return names


def unpack(package, wanted_version, to):
    """Downloads the package and puts its files under `to`."""
    with tempfile.TemporaryDirectory() as scratch:
        # Without a sandbox user apt can write here without owning the folder.
        _output("env", f"--chdir={scratch}", "apt-get", "-q", "-o", "APT::Sandbox::User=root",
                "-o", "Acquire::Retries=3", "download", f"{package}={wanted_version}")
        archive = next(pathlib.Path(scratch).glob("*.deb"))
        _output("dpkg-deb", "-x", str(archive), str(to))
