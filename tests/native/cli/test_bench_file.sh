#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tandem bench file: its JSON keeps to the schema, it leaves no file behind, and
# bad arguments end with one clear line. Not how fast anything is.
set -u
. "$(dirname "$0")/../../tap.sh"

tandem=${TANDEM_BUILD:-build/release}/bin/tandem
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/files"

"$tandem" bench file --directory "$work/files" --device inproc:host,mem=16M --megabytes 4 \
	--rounds 2 --seconds 0.1 --json >"$work/json" 2>"$work/errors"
tap_same $? 0 "a short run"
tap_same "$(wc -c <"$work/errors")" 0 "nothing on standard error"
tap_same "$(ls -A "$work/files")" "" "no file is left behind"
python3 - "$work/json" >"$work/checks" <<'END'
import json, sys

bench = json.load(open(sys.argv[1]))
rows = {row["what"]: row for row in bench["rows"]}
skipped = {skip["what"]: skip["why"] for skip in bench["skipped"]}
wanted = {f"{verb} of {what}" for verb in ("writes", "reads")
          for what in ("one piece", "scattered blocks of 64 KiB")}

def check(good, what):
    print(int(not good), what)

check(bench["schema"] == 1, "schema 1")
check(bench["conditions"]["file_megabytes"] == 4 and bench["conditions"]["page_cache"] in
      ("used", "bypassed"), "conditions name the file's size and the page cache")
check(wanted <= set(rows) | set(skipped), "each case is measured, or said not to be")
check(all("fio" in why for why in skipped.values()), "only for lack of fio")
check(all(row["ours"] > 0 and row["peer"] > 0 and row["ratio"] > 0 for row in rows.values()),
      "all figures are greater than zero")
check(all(row["aim"] == 0.95 for what, row in rows.items() if what in wanted), "the aim is told")
END
tap_ok $? "the output is JSON of that form"
while read -r bad what; do
	tap_ok "$bad" "$what"
done <"$work/checks"

refused() {	# refused TEXT DESCRIPTION ARGUMENT...
	local text=$1 description=$2
	shift 2
	"$tandem" bench file "$@" >"$work/text" 2>"$work/errors"
	[ $? -ne 0 ] && grep -q -- "$text" "$work/errors"
	tap_ok $? "$description"
}
refused "no-such-directory" "a directory that is not there" --directory "$work/no-such-directory"
refused "inproc:PROFILE" "a device that is none" --device gpu0
refused "is not a number from 1 to" "no rounds" --rounds 0
refused "is not a number from 0.01 to 60" "no seconds" --seconds -1
tap_end
