#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tandem bench driver: its JSON keeps to the schema, its rows hang together, and
# bad arguments and a device that dies end with one clear line.
set -u
. "$(dirname "$0")/../../tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tandem bench driver --device accel1 --rounds 2 --seconds 0.01 --json >"$work/json" \
	2>"$work/errors"
tap_same $? 0 "a short run"
tap_same "$(wc -c <"$work/errors")" 0 "nothing on standard error"

# One interpreter for all checks: starting it is slow in the guest.
python3 - "$work/json" >"$work/checks" <<'END'
import json, sys

bench = json.load(open(sys.argv[1]))
conditions = bench["conditions"]
rows = {row["what"]: row for row in bench["rows"]}
named = set(rows) | {skip["what"] for skip in bench["skipped"]}
figures = [(row, name) for row in rows.values() for name in ("ours", "peer", "ratio")]
fields = {"what", "unit", "ours", "peer", "peer_name", "ratio", "aim"}

def check(good, what):
    print(int(not good), what)

check(bench["schema"] == 1, "schema 1")
check(conditions["device"] == "accel1" and conditions["profile"] == "wse3" and
      conditions["kernel"] and conditions["rounds"] == 2,
      "conditions name device, profile, kernel and rounds")
check(rows and all(fields <= set(row) for row in rows.values()),
      "each row has the fields of the schema")
check(all(row[name] > 0 for row, name in figures), "all figures are greater than zero")
check(all(row[name + "_min"] <= row[name] <= row[name + "_max"] for row, name in figures),
      "medians lie within their spread")
check({"round trips, uring_cmd", "round trips, uring_cmd under SQPOLL",
       "round trips, ioctl"} <= named,
      "uring_cmd, SQPOLL and ioctl are each measured, or said not to be")
check({f"{2 ** n} uring_cmd in flight" for n in range(1, 7)} <= set(rows),
      "each depth up to 64")
# The device's own time for a copy is part of the whole time.
check(all(row["ratio"] <= 1.01 for what, row in rows.items() if what.startswith("copies")),
      "no copy is faster than the device says")
END
tap_ok $? "the output is JSON of that form"
while read -r bad what; do
	tap_ok "$bad" "$what"
done <"$work/checks"

tandem bench driver --rounds 1 --seconds 0.01 >"$work/text" 2>"$work/errors"
tap_same $? 0 "a table"
grep -q "^WHAT .*RATIO" "$work/text"
tap_ok $? "with a heading"
! grep -q $'\033' "$work/text"
tap_ok $? "no escape sequences in a pipe"

refused() {	# refused DESCRIPTION WORD OPTION...
	local what=$1 word=$2
	shift 2
	tandem bench "$@" >"$work/text" 2>"$work/errors"
	tap_same $? 1 "$what: status 1"
	grep -qF -- "$word" "$work/errors"
	tap_ok $? "$what: $(head -n 1 "$work/errors")"
}

refused "no such benchmark" "tandem bench --help" nonsense
refused "no such device" "/dev/accel/accel99" driver --device accel99
refused "no device name" "--device" driver --device ../../etc/passwd
refused "no rounds" "--rounds" driver --rounds 0
refused "no number" "--seconds" driver --seconds soon

tap_end
