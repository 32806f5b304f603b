#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tandem bench xfer: its JSON keeps to the schema, its rows hang together, and
# bad arguments end with one clear line. Nothing is said of how fast it is.
set -u
. "$(dirname "$0")/../../tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Small ones: a sanitizer takes its time over memory that is never used.
devices="--from inproc:trn2,mem=64M,cores=1 --to inproc:wse3,mem=64M,cores=1"

tandem bench xfer $devices --blocks 48 --rounds 2 --seconds 0.01 --streams 3 --json >"$work/json" \
	2>"$work/errors"
tap_same $? 0 "a short run"
tap_same "$(wc -c <"$work/errors")" 0 "nothing on standard error"

python3 - "$work/json" >"$work/checks" <<'END'
import json, sys

bench = json.load(open(sys.argv[1]))
conditions = bench["conditions"]
rows = {row["what"]: row for row in bench["rows"]}
figures = [(row, name) for row in rows.values() for name in ("ours", "peer", "ratio")]
fields = {"what", "unit", "ours", "peer", "peer_name", "ratio", "aim"}
verbs = [what for what in rows if what.startswith("verbs")]
skipped = [skip["what"] for skip in bench["skipped"]]

def check(good, what):
    print(int(not good), what)

check(bench["schema"] == 1, "schema 1")
check(conditions["from"].startswith("inproc:") and conditions["streams"] == 3 and
      conditions["rounds"] == 2, "conditions name devices, streams and rounds")
check(rows and all(fields <= set(row) for row in rows.values()),
      "each row has the fields of the schema")
check(all(row[name] > 0 for row, name in figures), "all figures are greater than zero")
check(all(row[name + "_min"] <= row[name] <= row[name + "_max"] for row, name in figures),
      "medians lie within their spread")
for transport, peer in ("local", "memcpy"), ("tcp", "bare stream"):
    check(rows[f"{transport}: large blocks"]["peer_name"] == peer, f"{transport} beside {peer}")
    check(rows[f"{transport}: large blocks"]["aim"] == 0.9, f"{transport}: the aim")
    check({f"{transport}: 48 blocks of 8 KiB, neighbours",
           f"{transport}: 48 blocks of 8 KiB, scattered",
           f"{transport}: large blocks, processor time"} <= set(rows),
          f"{transport}: small blocks, and processor time")
    check(rows[f"{transport}: large blocks, pulled beside pushed"]["peer_name"] == "pushed",
          f"{transport}: pulls beside pushes")
check(rows["tcp: large blocks, pulled"]["peer_name"] == "bare stream", "tcp: pulls beside a stream")
last = {what: row["transfers"] for what, row in rows.items() if "transfers" in row}
for transport in "local", "local, as between processes", "tcp":
    for what in "large blocks", "48 blocks of 8 KiB, scattered":
        push, receive = last[f"{transport}: {what}"]
        check((push["kind"], receive["kind"]) == ("push", "receive") and
              push["transfer"] == receive["transfer"] and
              push["bytes"] == receive["bytes"] == 48 * 8192 and push["id"] != receive["id"],
              f"{transport}: {what}: the last push, and the wait for it")
    pull = last[f"{transport}: large blocks, pulled beside pushed"]
    check([record["kind"] for record in pull] == ["pull"], f"{transport}: the last pull")
check(bool(verbs) != ("verbs" in skipped), "verbs is measured, or said not to be")
END
tap_ok $? "the output is JSON of that form"
while read -r bad what; do
	tap_ok "$bad" "$what"
done <"$work/checks"

tandem bench xfer $devices --transport tcp --blocks 16 --rounds 1 --seconds 0.01 >"$work/text" \
	2>"$work/errors"
tap_same $? 0 "a table"
grep -q "^WHAT .*RATIO" "$work/text"
tap_ok $? "with a heading"
! grep -q "^local" "$work/text"
tap_ok $? "of one transport only"

tandem bench xfer $devices --transport auto --blocks 16 --rounds 1 --seconds 0.01 --json \
	>"$work/json" 2>"$work/errors"
tap_same "$? $(cat "$work/errors")" "0 " "auto"
python3 - "$work/json" >"$work/checks" <<'END'
import json, sys

bench = json.load(open(sys.argv[1]))
conditions = bench["conditions"]

def check(good, what):
    print(int(not good), what)

check(conditions["transport"] == "local", "auto: local, which comes first")
check(conditions["transport_reasons"]["tcp"].startswith("tcp:"), "auto: why not tcp")
check(all(row["what"].startswith("local, as between processes: ") for row in bench["rows"]),
      "auto: only that is measured")
END
while read -r bad what; do
	tap_ok "$bad" "$what"
done <"$work/checks"

refused() {	# refused DESCRIPTION WORD OPTION...
	local what=$1 word=$2
	shift 2
	tandem bench xfer "$@" >"$work/text" 2>"$work/errors"
	tap_same $? 1 "$what: status 1"
	grep -qF -- "$word" "$work/errors"
	tap_ok $? "$what: $(head -n 1 "$work/errors")"
}

refused "no such device" "tpu9" --from inproc:tpu9
refused "no such transport" "pigeon" --transport pigeon
refused "too few blocks" "--blocks" --blocks 3
refused "too many streams" "--streams" --streams 17
refused "too many queue pairs" "--rdma-pairs" --rdma-pairs 9
refused "no rounds" "--rounds" --rounds 0

tap_end
