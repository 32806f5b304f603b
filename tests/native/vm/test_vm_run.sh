#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/vm/run: what it hands through, and that it ends and says why. Boots
# guests without our modules.
set -u
. "$(dirname "$0")/../../tap.sh"

run=$(cd "$(dirname "$0")/../../vm" && pwd)/run
work=$(mktemp -d)
export TMPDIR=$work
trap 'rm -rf "$work"' EXIT
cd "$work" || exit

guest() {	# guest [OPTION]... COMMAND...: sets $status, fills out and err
	"$run" --bare --cpus 1 "$@" >out 2>err
	status=$?
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	tap_skip_all "qemu-system-x86 is not installed"
fi

# A first download speaks on standard error.
"${run%/run}/fetch-kernel" >out 2>&1
tap_ok $? "there is a kernel"

# shellcheck disable=SC2016
guest --results results sh -c 'pwd; echo "a  b" >&2; rdma link | wc -l
	cat /sys/class/net/eth1/mtu; echo kept >"$TANDEM_RESULTS/file"; exit 42'
tap_same $status 42 "exit status of the command"
tap_same "$(cat out)" "$work
2
4200" "its standard output: directory kept, two RDMA links, MTU"
tap_same "$(cat err)" "a  b" "its standard error, apart"
tap_same "$(cat results/file)" kept "its results"

guest --dmesg log sh -c 'echo "WARNING: by a test" >/dev/kmsg'
tap_same $status 70 "a warning in the kernel's log fails the run"
grep -q "WARNING: by a test" err
tap_ok $? "and is shown"
grep -q "WARNING: by a test" log
tap_ok $? "and is in the log that was asked for"

guest sh -c 'echo before; echo c >/proc/sysrq-trigger; sleep 100'
tap_same $status 125 "a panic fails the run"
tap_same "$(cat out)" before "what the command said before is passed on"
tail -n 1 err | grep -q "kernel panicked"
tap_ok $? "the last line says so: $(tail -n 1 err)"

guest --timeout 5 sleep 1000
tap_same $status 124 "the time limit ends the run"
tail -n 1 err | grep -q "time limit of 5 s"
tap_ok $? "the last line says so: $(tail -n 1 err)"

"$run" --bare sleep 1000 >out 2>err &
pid=$!
qemu=
for _ in $(seq 600); do
	for child in $(cat /proc/$pid/task/$pid/children); do
		[ "$(cat "/proc/$child/comm" 2>/dev/null)" != qemu-system-x86 ] ||
			qemu=$child
	done
	[ -z "$qemu" ] || break
	sleep 0.1
done
kill -TERM $pid
wait $pid
tap_same $? 143 "SIGTERM ends the run"
[ -n "$qemu" ] && ! kill -0 "$qemu" 2>/dev/null
tap_ok $? "and its guest (process ${qemu:-not found})"
rm -rf out err log results
tap_same "$(ls -A)" "" "nothing is left in the temporary directory"

tap_end
