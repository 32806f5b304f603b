#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tandem bench serve: its JSON keeps to the schema, and what cannot be measured is
# said. No figure is looked at: they are those of a busy machine.
set -u
. "$(dirname "$0")/../../tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
devices="--prefill inproc:trn2,cores=1 --decode inproc:wse3,cores=1"

tandem make-model --type f16 --dim 64 --layers 3 --heads 4 --kv-heads 2 --ffn 96 \
	--vocabulary 300 --context 128 "$work/tiny.gguf"
for transport in local tcp; do
	tandem bench serve --model "$work/tiny.gguf" $devices --transport $transport --batch 2 \
		--prompt 8 --tokens 110 --rounds 2 --json >"$work/json" 2>"$work/errors"
	tap_same $? 0 "$transport: two requests, two rounds: $(head -c 200 "$work/errors")"
	python3 - "$work/json" $transport <<'END'
import json, sys
bench = json.load(open(sys.argv[1]))
assert bench["schema"] == 1
assert bench["conditions"]["transport"] == sys.argv[2]
assert bench["conditions"]["requests"] == 2 and bench["conditions"]["rounds"] == 2
rows = {row["what"]: row for row in bench["rows"]}
assert len(rows) == 4, rows.keys()
for row in rows.values():
    assert row["ours"] > 0 and row["peer"] > 0 and row["ratio"] > 0 and row["unit"], row
assert rows["decode, all requests in it"]["aim"] == 0.95
END
	tap_ok $? "$transport: schema, conditions and rows"
done
tandem bench serve --model "$work/tiny.gguf" $devices --batch 1 --prompt 20 --tokens 20 --rounds 1 \
	>"$work/text" 2>"$work/errors"
tap_same $? 0 "a table"
grep -q "tokens/s" "$work/text"
tap_ok $? "with units"
tandem bench serve --model "$work/tiny.gguf" $devices --prompt 120 --tokens 20 --rounds 1 \
	>"$work/text" 2>"$work/errors"
tap_same $? 1 "more than the context holds"
tap_same "$(wc -l <"$work/errors")" 1 "one line: $(cat "$work/errors")"
tandem bench serve >"$work/text" 2>"$work/errors"
tap_same $? 1 "no model"
tap_end
