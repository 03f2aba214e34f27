#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# verify.sh MODEL holds|fails [-DNAME[=VALUE]...]: checks a SPIN model exhaustively, and that it is
# free of errors (holds), or that its check finds one (fails).
set -euo pipefail

model=$1 expected=$2
shift 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$model" "$folder/model.pml"
cd "$folder"

spin -a "$@" model.pml >spin.log || { cat spin.log; exit 1; }
# What fails does so within a second, and to optimise a long model takes minutes.
optimise=-O0
if [ "$expected" = holds ] && [ "$(wc -l <pan.m)" -lt 10000 ]; then optimise=-O2; fi
gcc $optimise -w -DSAFETY -DCOLLAPSE -DNOFAIR -DVECTORSZ=2048 -o pan pan.c
./pan -m100000 -w24 >pan.log
grep -E 'errors:|states, stored|elapsed' pan.log

if grep -q 'search depth too small\|Search not completed' pan.log && [ "$expected" = holds ]; then
    echo "the search was not complete"
    cat pan.log
    exit 1
fi
# What is asserted at the end is no use if nothing gets there.
if grep -q 'errors: 0' pan.log && sed '1,/unreached in init/d' pan.log | grep -q -- '"-end-"'; then
    echo "no execution came to its end"
    cat pan.log
    exit 1
fi
if grep -q 'errors: 0' pan.log; then verdict=holds; else verdict=fails; fi
grep -m1 -E 'assertion violated|invalid end state' pan.log || true
[ "$verdict" = "$expected" ] || { echo "expected: $expected, found: $verdict"; cat pan.log; exit 1; }
