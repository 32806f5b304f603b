#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tandem bench xfer over verbs: several NICs and queue pairs carry what is measured, and
# auto takes verbs where local does not reach. Nothing is said of how fast it is.
set -u
. "$(dirname "$0")/../../tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

measure() {	# measure DESCRIPTION OPTION...
	local what=$1
	shift
	tandem bench xfer --to inproc:wse3,mem=64M,cores=1 --blocks 128 --rounds 1 \
		--seconds 0.01 --json "$@" >"$work/json" 2>"$work/errors"
	tap_same "$? $(cat "$work/errors")" "0 " "$what"
}

measure "two NICs with two queue pairs each" --from inproc:trn2,mem=64M,cores=1 \
	--transport verbs --rdma-device rxe0,rxe1 --rdma-pairs 2
mv "$work/json" "$work/several"
measure "auto, where one device is the kernel's" --from accel0 --transport auto

# One interpreter for all checks: starting it is slow in the guest.
python3 - "$work/several" "$work/json" >"$work/checks" <<'END'
import json, sys

several, auto = (json.load(open(path)) for path in sys.argv[1:])

def check(good, what):
    print(int(not good), what)

def transfers(bench, what):
    return next(row["transfers"] for row in bench["rows"] if row["what"] == what)

conditions = several["conditions"]
check((conditions["rdma_device"], conditions["rdma_pairs"]) == ("rxe0,rxe1", 2),
      "the conditions name NICs and queue pairs")
push = transfers(several, "verbs: 128 blocks of 8 KiB, scattered")[0]
check(push["rails"] == 0b1111, "all four queue pairs carried the last push")
pull = transfers(several, "verbs: large blocks, pulled beside pushed")
check([record["kind"] for record in pull] == ["pull"], "of pulls beside pushes it is the pull")
named = {row["peer_name"] for row in several["rows"]} | {
    skip["why"] for skip in several["skipped"]}
check(any("ib_write_bw, first NIC" in name for name in named),
      "ib_write_bw has one of the NICs, and that is said")

conditions = auto["conditions"]
check(conditions["transport"] == "verbs", "auto has taken verbs")
check(conditions["transport_reasons"]["local"].startswith("local:"), "and says why not local")
check(all(row["what"].startswith("verbs: ") for row in auto["rows"]), "only that is measured")
END
tap_ok $? "both are JSON of that form"
while read -r bad what; do
	tap_ok "$bad" "$what"
done <"$work/checks"

tap_end
