#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The fuzzers of hostile input, for some seconds each, $TANDEM_FUZZ_SECONDS if that
# is set, on one processor, under AddressSanitizer and UBSan. What makes one fail
# is kept in build/fuzz and is to become a seed, tests/fuzz/corpus/*/found-*.
set -u
. "$(dirname "$0")/../tap.sh"

cd "$(dirname "$0")/../.." || exit 1
seconds=${TANDEM_FUZZ_SECONDS:-25}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v clang >/dev/null || tap_skip_all "clang is not installed"
env -u MAKEFLAGS make --no-print-directory -j2 fuzzers >"$work/make" 2>&1
tap_ok $? "clang builds the fuzzers"
tail -5 "$work/make" | sed 's/^/# /'

for name in gguf peer tokenizer; do
	# New inputs go to the first folder, so that the tree stays as it is.
	mkdir "$work/$name"
	dict=
	[ ! -e "tests/fuzz/$name.dict" ] || dict=-dict=tests/fuzz/$name.dict
	build/fuzz/tests/fuzz/fuzz_$name -max_total_time="$seconds" -max_len=4096 \
		-timeout=60 -rss_limit_mb=4096 $dict \
		-artifact_prefix=build/fuzz/ "$work/$name" tests/fuzz/corpus/$name \
		>"$work/log" 2>&1
	tap_ok $? "fuzz_$name: $(grep '^Done' "$work/log" || echo it failed)"
	grep -q '^Done' "$work/log" || tail -40 "$work/log" | sed 's/^/# /'
done
tap_end
