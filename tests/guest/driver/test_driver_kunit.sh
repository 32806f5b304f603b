#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The driver's KUnit tests, where the kernel can run them: loads their module
# and tells what the kernel says of each.
set -u
. "$(dirname "$0")/../../tap.sh"

results=/sys/kernel/debug/kunit
module=$TANDEM_MODULES/tandem_kunit.ko
[ -d $results ] || tap_skip_all "the kernel has no KUnit"

insmod "$module"
tap_ok $? "the module with the tests loads"
suites=0
for file in $results/tandem_*/results; do
	[ -e "$file" ] || continue
	suite=$(basename "$(dirname "$file")")
	suites=$((suites + 1))
	# One level in are the tests, on the outside the suites.
	while read -r verdict number name; do
		[ "$verdict" = ok ]
		tap_ok $? "$suite: $name"
	done < <(sed -n 's/^    not ok /not-ok /p; s/^    ok /ok /p' "$file")
	grep -q "^ok" "$file" || sed 's/^/# /' "$file"
done
tap_same $suites 7 "all suites have run"
rmmod tandem_kunit
tap_ok $? "and the module can be removed"
tap_end
