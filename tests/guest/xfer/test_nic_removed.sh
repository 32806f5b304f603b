#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A NIC is removed while blocks travel over it. With soft-RoCE, one goes with its network
# device: its queue pairs fail, and it is gone when nobody has it open any more. Alone, what
# is under way ends; beside another one, the connection goes on.
set -u
. "$(dirname "$0")/../../tap.sh"

work=$(mktemp -d)

clean() {
	local name

	for name in 0 1; do
		ip link del "gone$name" 2>/dev/null
	done
	rm -rf "$work"
}
trap clean EXIT

plug() {	# plug NUMBER: a network device of that number, and a NIC on it
	ip link add "gone$1" type dummy && ip addr add "10.77.$1.1/24" dev "gone$1" &&
		ip link set "gone$1" up && rdma link add "rxegone$1" type rxe netdev "gone$1"
}

# Is there such a NIC? It may take a moment to go.
is_gone() {
	local tries

	for ((tries = 0; tries < 100; tries++)); do
		rdma link show "$1/1" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	return 1
}

transfer() {	# transfer NICS SECONDS: status in $work/status, messages in $work/errors
	timeout 60 tandem bench xfer --transport verbs --rdma-device "$1" --blocks 2048 \
		--from inproc:trn2,mem=64M,cores=1 --to inproc:wse3,mem=64M,cores=1 \
		--rounds 1 --seconds "$2" --json >"$work/json" 2>"$work/errors"
	echo $? >"$work/status"
}

# Blocks have been written over the NIC: its counter of packets has moved.
travels() {
	local counter=/sys/class/infiniband/$1/ports/1/hw_counters/sent_pkts
	local tries

	for ((tries = 0; tries < 200; tries++)); do
		[ "$(cat "$counter" 2>/dev/null || echo 0)" -gt 1000 ] && return 0
		sleep 0.1
	done
	return 1
}

modprobe dummy 2>/dev/null
plug 0 || tap_skip_all "no soft-RoCE on a dummy network device"

transfer rxegone0 5 &
travels rxegone0
tap_ok $? "blocks travel over the only NIC"
ip link del gone0
wait
tap_same "$(cat "$work/status") $(cat "$work/errors")" \
	"1 tandem: verbs: a push failed: Connection reset by peer" \
	"it is removed: what was under way has ended, and says why"
is_gone rxegone0
tap_ok $? "nobody holds on to it"

plug 0 && plug 1
tap_ok $? "it is there again, and another one"
transfer rxegone0,rxegone1 5 &
travels rxegone1
tap_ok $? "blocks travel over both"
ip link del gone1
wait
# A push that had failed would say so; what is measured next opens a connection of its own.
tap_same "$(cat "$work/status") $(sed 's/;.*//' "$work/errors")" \
	"1 tandem: verbs: no RDMA device rxegone1 with an active port" \
	"one is removed: pushes go on over the other, and only a new connection misses it"
is_gone rxegone1
tap_ok $? "nobody holds on to that"

tap_end
