# SPDX-License-Identifier: Apache-2.0
"""Packages of this machine's apt sources: looked up, downloaded and unpacked, never installed.

apt reads all of its lists for each question, which takes a second where it may not keep its own cache of them,
as in containers. What it has answered is kept until the lists change.
"""

import functools
import json
import pathlib
import re
import subprocess
import tempfile

import cache

# What apt's answers depend on.
_LISTS = ("/var/lib/apt/lists/*", "/etc/apt/*", "/etc/apt/*.d/*", "/var/lib/dpkg/status")


class Unavailable(Exception):
    """A package cannot be had here: a reason to skip, not to fail."""


def _output(*command):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(command)}: {error.stderr.strip()}") from error


def _lists():
    """Differs when apt's lists do."""
    paths = (path for pattern in _LISTS for path in pathlib.Path("/").glob(pattern[1:]))
    return sorted((str(path), path.stat().st_mtime_ns) for path in paths if path.is_file())


@functools.cache
def _asked(*question):
    """What apt-cache answers."""
    kept = cache.folder() / "apt-answers.json"
    with cache.lock("apt-answers"):
        lists = [list(one) for one in _lists()]
        try:
            known = json.loads(kept.read_text())
        except (FileNotFoundError, ValueError):
            known = {}
        if known.get("lists") != lists:
            known = {"lists": lists, "answers": {}}
        key = " ".join(question)
        if key not in known["answers"]:
            known["answers"][key] = _output("apt-cache", *question)
            kept.write_text(json.dumps(known))
        return known["answers"][key]


def version(package):
    """The version that apt would install."""
    found = re.search(r"Candidate: (\S+)", _asked("policy", package))
    if not found or found[1] == "(none)":
        raise Unavailable(f"{package} is not known to apt here; apt-get update first")
    return found[1]


def dependencies(package):
    """The names that `package` depends on directly; of alternatives, all."""
    listing = _asked("depends", "--important", "--no-recommends", package)
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
