#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A short run of the driver's fuzzer, with one seed that is always the same and
# one that is new. With a kernel that looks for errors it takes longer.
set -u
. "$(dirname "$0")/../../tap.sh"

fuzzer=${TANDEM_BUILD:-build/release}/tests/fuzz/fuzz_driver
case ${TANDEM_KERNEL:-} in
uml)
	# Several processes are too much for User Mode Linux itself.
	options=(--seconds 60 --processes 1) ;;
debug)
	options=(--seconds 60) ;;
*)
	options=(--seconds 15) ;;
esac

for seed in 3 $((0x$(od -An -N4 -tx4 /dev/urandom | tr -d ' '))); do
	output=$("$fuzzer" --seed "$seed" "${options[@]}" 2>&1)
	status=$?
	# All but its own results.
	grep "^#" <<<"$output"
	[ $status -eq 0 ] || grep "^not ok" <<<"$output" | sed 's/^/# /'
	tap_ok $status "fuzzing: --seed $seed ${options[*]}"
done
tap_end
