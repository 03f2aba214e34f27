#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists the skipped tests of ctest runs with their reasons. Arguments: JUnit files without .xml."""

import os
import re
import sys
import xml.etree.ElementTree

# What GoogleTest prints before its own mark, what the static checks print, what unittest prints.
REASONS = (
    re.compile(r": Skipped\n(.*?)\n+\[  SKIPPED \]", re.DOTALL),
    re.compile(r"^SKIP: (.*)$", re.MULTILINE),
    re.compile(r"skipped '(.*?)'$", re.MULTILINE),
)


def reason_of(test):
    output = test.findtext("system-out") or ""
    for pattern in REASONS:
        found = pattern.search(output)
        if found:
            return " ".join(found.group(1).split())
    skipped = test.find("skipped")
    return skipped.get("message") or "no reason given"


def main():
    total = 0
    for base in sys.argv[1:]:
        for test in xml.etree.ElementTree.parse(base + ".xml").iter("testcase"):
            if test.find("skipped") is not None:
                total += 1
                print(f"skipped: {os.path.basename(base)}: {test.get('name')}: {reason_of(test)}")
    print(f"check: {total} tests skipped")


if __name__ == "__main__":
    main()
