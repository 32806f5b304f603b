#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kill -9 of either firmware under `tandem run`, in prefill and in decode: the
# run ends within 5 s, names the device, and fails, unless it does not need that
# device any more; a new device can be plugged in and used. (tests/guest/xfer kills
# it in the middle of a transfer.)
#
# Runs in the guest. Starts devices of its own, and leaves the others alone.
set -u
. "$(dirname "$0")/../../tap.sh"

shared=${TANDEM_SHARED:-../shared}
model=$shared/data/models/stories260K.gguf
work=$(mktemp -d)
firmware=()
trap 'kill "${firmware[@]}" 2>/dev/null; rm -rf "$work"' EXIT
# Of firmware that is killed the shell need not tell.
set +m

if [ ! -r "$model" ]; then
	tap_skip_all "$model is not here"
fi

nodes() {
	ls /dev/accel 2>/dev/null | sort
}

# Start a device; sets $device and $pid. The new node is the one not there before.
plug() {	# plug PROFILE [OPTION]...
	local profile=$1
	shift

	nodes >"$work/before"
	tandem-fw --profile "$profile" --mem 64M "$@" 2>"$work/firmware.log" &
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

long_prompt=$(for _ in $(seq 40); do printf 'Once upon a time there was a little girl. '; done)

# Wait until the run is in the middle of the phase.
await_phase() {	# await_phase PHASE
	local sysfs=/sys/class/accel/$prefill/device used done_now done_before=0 same=0
	for _ in $(seq 300); do
		case $1 in
		prefill)	# the prefill device has the model, and is stuck in the prompt
			read -r used <"$sysfs/memory_used"
			read -r done_now <"$sysfs/commands_completed"
			same=$((done_now == done_before ? same + 1 : 0))
			done_before=$done_now
			[ "$used" -gt 1000000 ] && [ $same -ge 8 ] && return
			;;
		decode)		# tokens come out
			[ -s "$work/text" ] && return
			;;
		esac
		sleep 0.1
	done
}

# One run, in a phase of which the firmware of one side is killed.
kill_during() {	# kill_during PHASE SIDE TRANSPORT
	local phase=$1 side=$2 transport=$3
	local what="$side device killed during $phase over $transport"
	local prefill prefill_pid decode decode_pid victim victim_pid run status start end
	local prompt="Once upon a time" options=() tokens=500 expected=1

	# Where the processor is fast, prefill is over before it could be hit.
	[ "$phase" = prefill ] && options=(--fault hang:opcode=3)
	plug trn2 "${options[@]}" || { tap_ok 1 "$what: a prefill device can be plugged in"; return; }
	prefill=$device prefill_pid=$pid
	plug wse3 || { tap_ok 1 "$what: a decode device can be plugged in"; return; }
	decode=$device decode_pid=$pid
	victim=$prefill victim_pid=$prefill_pid
	[ "$side" = decode ] && victim=$decode victim_pid=$decode_pid
	[ "$phase" = prefill ] && prompt=$long_prompt

	rm -f "$work/text"
	# What decodes does not need prefill's device any more, and goes on to its end.
	[ "$phase/$side" = decode/prefill ] && tokens=60 expected=0
	timeout -k 1 30 tandem run --model "$model" --prompt "$prompt" --tokens $tokens \
		--prefill "$prefill" --decode "$decode" --transport "$transport" \
		>"$work/text" 2>"$work/errors" &
	run=$!
	await_phase "$phase"
	kill -9 "$victim_pid"
	start=$(date +%s%N)
	wait $run
	status=$?
	end=$(date +%s%N)

	tap_same $status $expected "$what: status $expected"
	[ $expected = 0 ] || [ $(((end - start) / 1000000)) -lt 5000 ]
	tap_ok $? "$what: ended after $(((end - start) / 1000000)) ms"
	[ $expected = 0 ] || grep -q "$victim.*lost" "$work/errors"
	tap_ok $? "$what: $(head -1 "$work/errors")"

	kill "$prefill_pid" "$decode_pid" 2>/dev/null
	wait "$prefill_pid" "$decode_pid" 2>/dev/null
	for _ in $(seq 100); do
		[ -e "/dev/accel/$prefill" ] || [ -e "/dev/accel/$decode" ] || return
		sleep 0.1
	done
	tap_ok 1 "$what: the nodes of dead devices go away"
}

for transport in local verbs; do
	for phase in prefill decode; do
		kill_during $phase prefill $transport
		kill_during $phase decode $transport
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
