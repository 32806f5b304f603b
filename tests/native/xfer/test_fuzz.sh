#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Builds the fuzzer of what the transfer engine reads from the other side, and
# runs it for a while: the same inputs each time, and some at random.
set -u
. "$(dirname "$0")/../../tap.sh"

cd "$(dirname "$0")/../../.." || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v clang >/dev/null || tap_skip_all "there is no clang"
echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { (void)d; (void)n; return 0; }' \
	>"$work/empty.c"
clang -fsanitize=fuzzer,address,undefined -o "$work/empty" "$work/empty.c" 2>/dev/null ||
	tap_skip_all "clang has no libFuzzer (Debian: libclang-rt-dev)"

clang -g -O1 -std=gnu11 -D_GNU_SOURCE= -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all -I. -Iuapi -Iruntime/include \
	tests/fuzz/fuzz_xfer.c runtime/crc32c.c runtime/error.c runtime/kv_layout.c \
	runtime/xfer_auto_part.c \
	runtime/xfer_description.c \
	runtime/xfer_ipc_message.c \
	runtime/xfer_note.c \
	runtime/xfer_place.c \
	runtime/xfer_tcp_frame.c runtime/xfer_tcp_reach.c \
	runtime/xfer_verbs_endpoint.c runtime/xfer_verbs_message.c \
	runtime/xfer_verbs_reach.c \
	-lisal -o "$work/fuzz_xfer" 2>"$work/errors"
tap_ok $? "the fuzzer builds"
head -n 5 "$work/errors" | sed 's/^/# /'

corpus=tests/fuzz/corpus/xfer
fuzz() {	# fuzz DESCRIPTION OPTION...
	local what=$1
	shift
	"$work/fuzz_xfer" -max_len=8300 -rss_limit_mb=512 -artifact_prefix="$work/" "$@" \
		>"$work/output" 2>&1
	tap_ok $? "$what: $(tail -n 1 "$work/output")"
	grep -E 'ERROR|SUMMARY|Base64' "$work/output" | head -n 5 | sed 's/^/# /'
}

fuzz "the corpus" -runs=0 $corpus
mkdir "$work/new"
fuzz "the same inputs each time" -seed=1 -runs=100000 -max_total_time=60 "$work/new" $corpus
fuzz "some at random" -max_total_time=5 "$work/new" $corpus

tap_end
