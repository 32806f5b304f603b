#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The headers in uapi/: each stands alone, no structure has a hole or a padding
# of the compiler's, and 32-bit programs see the same as 64-bit ones.
set -u
. "$(dirname "$0")/../../tap.sh"

top=$(cd "$(dirname "$0")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

headers=$(cd "$top/uapi" && find . -name '*.h' | sed 's,^\./,,' | sort)
structures=$(cd "$top/uapi" && sed -n 's/^struct \([a-z0-9_]*\) {.*/\1/p' $headers | sort)
# Compiles for other processors need no C library; <asm/…> is the same for both.
include="-I$top/uapi $(pkg-config --cflags libdrm) -isystem /usr/include/$(gcc -print-multiarch)"

# All debug information there is, used or not.
compile() {	# compile BITS HEADER...
	local bits=$1
	shift
	printf '#include "%s"\n' "$@" |
		gcc "-m$bits" -std=gnu11 -Wall -Wextra -Werror -g -gdwarf-4 \
			-fno-eliminate-unused-debug-types $include -x c -c - \
			-o "$work/$bits.o" 2>"$work/errors"
}

layout() {	# layout BITS STRUCTURE
	pahole -C "$2" "$work/$1.o" 2>/dev/null
}

for header in $headers; do
	compile 64 "$header"
	tap_ok $? "$header: compiles alone"
	sed 's/^/# /' "$work/errors"
done

compile 64 $headers
tap_ok $? "all together, 64 bits"
compile 32 $headers
tap_ok $? "all together, 32 bits"
sed 's/^/# /' "$work/errors"

[ "$(echo "$structures" | wc -l)" -gt 20 ]
tap_ok $? "the structures are found: $(echo "$structures" | wc -l)"
for name in $structures; do
	layout 64 "$name" >"$work/64"
	layout 32 "$name" >"$work/32"
	if ! grep -q "size: " "$work/64" || ! grep -q "size: " "$work/32"; then
		tap_ok 1 "$name: pahole tells its layout"
		continue
	fi
	diff "$work/64" "$work/32" >"$work/difference"
	tap_ok $? "$name: the same for 32 and 64 bits"
	sed 's/^/# /' "$work/difference"
	! grep -E "XXX|padding:|holes:" "$work/64" | sed 's/^/# /' | grep .
	tap_ok $? "$name: no hole and no padding"
done

# What the checks above are worth: a structure with a hole, and one that differs.
cat >"$work/bad.h" <<'END'
#include <linux/types.h>
struct with_hole { __u8 a; __u32 b; };
struct with_difference { __u32 a; unsigned long b; };
END
compile 64 "$work/bad.h" && compile 32 "$work/bad.h"
layout 64 with_hole | grep -q XXX
tap_ok $? "a hole would be found"
! diff <(layout 64 with_difference) <(layout 32 with_difference) >/dev/null
tap_ok $? "a difference would be found"

tap_end
