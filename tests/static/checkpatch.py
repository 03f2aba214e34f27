#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the kernel's own checkpatch.pl --strict reports of the module, its interface and lib/session is in the
list below, with the reason why it stays. Its line length is that of .clang-format; the Perl script comes with
the kernel source that the tests' debug kernel is built from.
"""

import collections
import glob
import os
import re
import shutil
import subprocess

import tree

SCRIPTS = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                       "clustix/vm/debug-linux-source-*/scripts/checkpatch.pl")
FOLDERS = ("kmod/", "include/uapi/", "lib/session/")
FINDING = re.compile(r"(?P<path>[^:]+):(?P<line>\d+): (?:ERROR|WARNING|CHECK):(?P<kind>\w+): (?P<what>.*)")
# (the beginning of the path, kind) of what stays. An entry that explains nothing any more is a violation, too.
EXPLAINED = {
    ("kmod/compat.h", "LINUX_VERSION_CODE"): "what differs between kernels is what the file is for",
    ("kmod/compat.h", "CONSTANT_COMPARISON"): "LINUX_VERSION_CODE is none",
    ("kmod/trace.h", "OPEN_ENDED_LINE"): "TRACE_EVENT() is written so in the whole kernel",
    ("kmod/trace.h", "PARENTHESIS_ALIGNMENT"): "the same",
    ("kmod/test/kccm_exercise.c", "MACRO_WITH_FLOW_CONTROL"): "a check that fails ends the exercise",
    ("include/uapi/kccm.h", "LINE_SPACING"): "what is about a type stands right behind it",
    ("lib/session/", "LINE_SPACING"): "the same",
    ("lib/session/", "PREFER_KERNEL_TYPES"): "is C of user space, too, which has the types of stdint.h",
    ("lib/session/", "UNSPECIFIED_INT"): "the style of user space",
    ("lib/session/", "BIT_MACRO"): "user space has none",
    ("lib/session/", "TYPO_SPELLING"): "British: acknowledgement",
}


def explained_by(finding):
    for path, kind in EXPLAINED:
        if finding["path"].startswith(path) and finding["kind"] == kind:
            return path, kind
    return None


def main():
    parser = tree.arguments(__doc__)
    parser.add_argument("--scripts", default=SCRIPTS, help="pattern of the checkpatch.pl to take the last of")
    args = parser.parse_args()
    scripts = sorted(glob.glob(args.scripts))
    if not scripts or not shutil.which("perl"):
        tree.skip("there is no checkpatch.pl: tests/vm/debug_kernel.py fetches it with the debug kernel"
                  if not scripts else "perl is not installed")
    paths = [path for path in tree.files(args.root, (".c", ".h")) if path.startswith(FOLDERS)]
    report = subprocess.run(
        ["perl", scripts[-1], "--no-tree", "--strict", "--terse", "--show-types", "--max-line-length=100",
         "--file", *paths], cwd=args.root, capture_output=True, text=True)
    findings = [found.groupdict() for found in map(FINDING.match, report.stdout.splitlines()) if found]
    if report.returncode not in (0, 1) or report.stderr:
        tree.finish("checkpatch", [f"{scripts[-1]} does not run: {report.stderr}"], 0)
    used = collections.Counter(map(explained_by, findings))
    violations = [f"{finding['path']}:{finding['line']}: {finding['kind']}: {finding['what']}"
                  for finding in findings if not explained_by(finding)]
    if any(path.startswith("kmod/") for path in paths):  # not the small tree that tests this check
        violations += [f"tests/static/checkpatch.py: explains {kind} of {path}, which is not reported"
                       for path, kind in EXPLAINED if not used[(path, kind)]]
    tree.finish("checkpatch", violations, f"{len(paths)} files ({used.total()} findings are explained)")


if __name__ == "__main__":
    main()
