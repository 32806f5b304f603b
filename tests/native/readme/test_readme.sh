#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The program in README.md: compiled as it stands there, against an installed
# library found with pkg-config, and run.
set -u
. "$(dirname "$0")/../../tap.sh"

top=$(cd "$(dirname "$0")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make -C "$top" install DESTDIR="$work/root" PREFIX=/usr >"$work/log" 2>&1
tap_ok $? "make install"
sed 's/^/# /' "$work/log" | tail -3
pc=$(find "$work/root" -name tandem.pc)
tap_same "$(echo "$pc" | wc -l)" 1 "one tandem.pc"
lib=$(dirname "$(find "$work/root" -name 'libtandem.so.0' | head -1)")

awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$top/README.md" >"$work/push.c"
lines=$(wc -l <"$work/push.c")
[ "$lines" -gt 10 ]
tap_ok $? "the program in the README has $lines lines"

export PKG_CONFIG_SYSROOT_DIR=$work/root PKG_CONFIG_PATH=$(dirname "$pc")
flags=$(pkg-config --cflags --libs tandem)
tap_ok $? "pkg-config: $flags"
# shellcheck disable=SC2086
cc -Wall -o "$work/push" "$work/push.c" $flags 2>"$work/log"
tap_ok $? "it compiles"
sed 's/^/# /' "$work/log"
tap_same "$(LD_LIBRARY_PATH=$lib "$work/push")" "one block moved" "it runs"
tap_end
