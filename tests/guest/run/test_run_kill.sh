#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kill -9 of a firmware under `tandem run`, at moments spread over prefill,
# transfer and decode: the run ends within 5 s, names the device, and fails; a
# new device can be plugged in and used.
#
# Runs in the guest. Starts devices of its own, and leaves the others alone.
set -u
. "$(dirname "$0")/../../tap.sh"

shared=${TANDEM_SHARED:-../shared}
model=$shared/data/models/stories260K.gguf
work=$(mktemp -d)
firmware=()
trap 'kill "${firmware[@]}" 2>/dev/null; rm -rf "$work"' EXIT

if [ ! -r "$model" ]; then
	tap_skip_all "$model is not here"
fi
if [ ! -e /dev/tandem-emu ]; then
	tap_skip_all "there is no /dev/tandem-emu"
fi

nodes() {
	ls /dev/accel 2>/dev/null | sort
}

# Start a device; sets $device and $pid. The new node is the one not there before.
plug() {	# plug PROFILE
	nodes >"$work/before"
	tandem-fw --profile "$1" --mem 64M 2>"$work/firmware.log" &
	pid=$!
	firmware+=($pid)
	for _ in $(seq 100); do
		device=$(nodes | comm -13 "$work/before" - | head -1)
		[ -n "$device" ] && tandem list 2>/dev/null | grep -q "^$device " && return 0
		sleep 0.1
	done
	sed 's/^/# /' "$work/firmware.log"
	return 1
}

prompt=$(for _ in $(seq 40); do printf 'Once upon a time there was a little girl. '; done)

# One run, of which the firmware of one side is killed after a time.
kill_during() {	# kill_during SIDE DELAY TRANSPORT
	local side=$1 delay=$2 transport=$3
	local prefill prefill_pid decode decode_pid victim victim_pid run status start end

	plug trn2 || { tap_ok 1 "a prefill device can be plugged in"; return; }
	prefill=$device prefill_pid=$pid
	plug wse3 || { tap_ok 1 "a decode device can be plugged in"; return; }
	decode=$device decode_pid=$pid
	victim=$prefill victim_pid=$prefill_pid
	[ "$side" = decode ] && victim=$decode victim_pid=$decode_pid

	tandem run --model "$model" --prompt "$prompt" --tokens 400 --prefill "$prefill" \
		--decode "$decode" --transport "$transport" >"$work/text" 2>"$work/errors" &
	run=$!
	sleep "$delay"
	kill -9 "$victim_pid"
	start=$(date +%s%N)
	( sleep 20; kill -9 $run 2>/dev/null ) & watchdog=$!
	wait $run
	status=$?
	kill $watchdog 2>/dev/null
	end=$(date +%s%N)
	wait "$victim_pid" 2>/dev/null

	local what="$side killed after $delay s over $transport"
	if [ $status -eq 0 ]; then
		# Quicker than the kill: says nothing about the kill.
		tap_skip "$what" "the run was over by then"
	else
		[ $status -eq 1 ] && [ $(((end - start) / 1000000)) -lt 5000 ]
		tap_ok $? "$what: ended with status $status after $(((end - start) / 1000000)) ms"
		grep -q "$victim" "$work/errors"
		tap_ok $? "$what: $(head -1 "$work/errors")"
	fi
	kill "$prefill_pid" "$decode_pid" 2>/dev/null
	wait "$prefill_pid" "$decode_pid" 2>/dev/null
	for _ in $(seq 100); do
		[ -e /dev/accel/$prefill ] || [ -e /dev/accel/$decode ] || break
		sleep 0.1
	done
}

for transport in local verbs; do
	for side in prefill decode; do
		for delay in 0.3 1 2 4; do
			kill_during $side $delay $transport
		done
	done
done

# After all that, a new pair works.
if plug trn2 && prefill=$device && plug wse3; then
	tandem run --model "$model" --prompt "Once upon a time" --tokens 10 --verify \
		--prefill "$prefill" --decode "$device" --transport verbs \
		>"$work/text" 2>"$work/errors"
	tap_ok $? "a new pair of devices works"
else
	tap_ok 1 "a new pair of devices can be plugged in"
fi

tap_end
