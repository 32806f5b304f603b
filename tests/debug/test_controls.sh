#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Does a debug kernel notice what is wrong, and does tests/vm/run then fail?
# One boot for each detector, since lockdep stops at the first report of any.
# $TANDEM_KERNEL says which kernel.
set -u
. "$(dirname "$0")/../tap.sh"

top=$(cd "$(dirname "$0")/../.." && pwd)
kernel=${TANDEM_KERNEL:?uml or debug}
module=$top/build/modules-$kernel/tests/debug/tandem_control.ko
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

guest() {	# guest [OPTION]... COMMAND...: sets $status, fills out and err
	"$top/tests/vm/run" --kernel "$kernel" --no-devices --memory 1G \
		--timeout 300 "$@" >"$work/out" 2>"$work/err"
	status=$?
}

# control WRONG REPORT [OPTION]...
control() {
	local wrong=$1 report=$2
	shift 2

	guest "$@" sh -c "insmod $module wrong=$wrong; rmmod tandem_control"
	tap_same $status 70 "$kernel: $wrong fails the run"
	grep -q "$report" "$work/err"
	tap_ok $? "and is reported as \"$report\""
	grep -q "$report" "$work/err" || sed 's/^/# /' "$work/err"
}

guest sh -c 'echo quiet'
tap_same "$status $(cat "$work/out")" "0 quiet" \
	"$kernel: no report when nothing is wrong"
[ $status = 0 ] || sed 's/^/# /' "$work/err"

control use-after-free "BUG: KASAN: slab-use-after-free" --no-leak-check
control lock-order "possible circular locking dependency" --no-leak-check
control sleep-under-spinlock "sleeping function called from invalid context" \
	--no-leak-check
control free-active-timer "ODEBUG: free active" --no-leak-check
control leak "unreferenced object"

# insmod says what the module's start answered.
guest --no-leak-check sh -c "
	cd /sys/kernel/debug/failslab && echo 0 >verbose &&
	echo N >ignore-gfp-wait || exit
	insmod $module wrong=failing-allocation || exit 3"
tap_same $status 3 "$kernel: failslab has an allocation fail"
grep -qi "cannot allocate memory\|out of memory" "$work/out" "$work/err"
tap_ok $? "which answers ENOMEM"

tap_end
