#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `tandem run` over the real driver: the reference text over each transport,
# the size of what was moved, and the link's own counters.
#
# Runs in the guest, with accel0 (prefill), accel1 (decode) and rxe0 up.
set -u
. "$(dirname "$0")/../../tap.sh"

shared=${TANDEM_SHARED:-../shared}
model=$shared/data/models/stories260K.gguf
counters=/sys/class/infiniband/rxe0/ports/1/hw_counters
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# From ../shared/data/README.md, by two independent engines.
reference=", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high."

field() {	# field NAME: of the last report
	json_field "$work/stats" "$1"
}

if [ ! -r "$model" ]; then
	tap_skip_all "$model is not here"
fi
# The guest has them; where they are missing, something is wrong.
[ -e /dev/accel/accel0 ] && [ -e /dev/accel/accel1 ]
tap_ok $? "accel0 and accel1 are there"

run() {	# run OPTION...
	tandem run --model "$model" --prompt "Once upon a time" --tokens 60 --json \
		--stats "$work/stats" --kv-type f32 "$@" >"$work/text" 2>"$work/errors"
}

run --mode agg --decode accel1
tap_same $? 0 "aggregated run"
tap_same "$(head -c ${#reference} "$work/text")" "$reference" "aggregated: the reference text"
cp "$work/text" "$work/aggregated"
tap_same "$(field kv_bytes)" 0 "aggregated: no KV moved"

for transport in local verbs tcp; do
	before=$(cat $counters/sent_pkts 2>/dev/null || echo 0)
	run --prefill accel0 --decode accel1 --transport $transport --verify
	tap_same $? 0 "$transport: split run gives the tokens of an aggregated one"
	cat "$work/errors" | sed 's/^/# /'
	after=$(cat $counters/sent_pkts 2>/dev/null || echo 0)
	cmp -s "$work/text" "$work/aggregated"
	tap_ok $? "$transport: the text of the aggregated run"
	# 5 layers, K and V, 32 wide, one block of 16 tokens, 4 bytes an element
	tap_same "$(field kv_bytes)" $((5 * 2 * 32 * 16 * 4)) "$transport: KV bytes"
	if [ $transport = tcp ]; then
		# Out of memory and into it again.
		tap_same "$(field kv_cpu_copied_bytes)" $((2 * $(field kv_bytes))) \
			"tcp: copied by the CPU on both sides"
	else
		tap_same "$(field kv_cpu_copied_bytes)" 0 "$transport: none copied by the CPU"
	fi
	tap_same "$(field kv_transport)" $transport "$transport: named in the report"
	tap_same "$(field prefill_device)" accel0 "$transport: prefill device"
	tap_same "$(field decode_device)" accel1 "$transport: decode device"
	[ $transport = verbs ] || continue
	# No packet of soft-RoCE carries more than one frame of its netdev.
	mtu=$(cat "/sys/class/net/$(cat /sys/class/infiniband/rxe0/parent)/mtu")
	[ $(((after - before) * mtu)) -ge "$(field kv_bytes)" ]
	tap_ok $? "verbs: the link sent $((after - before)) packets of at most $mtu bytes"
done

# A user who may not open the node is told so.
if command -v setpriv >/dev/null; then
	mode=$(stat -c %a /dev/accel/accel1)
	chmod 600 /dev/accel/accel1
	# The model may lie where that user cannot look; standard input cannot.
	setpriv --reuid 65534 --clear-groups "$(command -v tandem)" run --model /dev/stdin \
		--prompt x --mode agg --decode accel1 <"$model" >"$work/text" 2>"$work/errors"
	tap_same $? 1 "no permission: status 1"
	tap_same "$(wc -l <"$work/errors")" 1 "no permission: one line"
	grep -q "accel1.*ermission" "$work/errors"
	tap_ok $? "no permission: $(head -1 "$work/errors")"
	chmod "$mode" /dev/accel/accel1
else
	tap_skip "no permission" "there is no setpriv"
fi

tap_end
