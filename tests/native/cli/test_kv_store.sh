#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tandem run with a file behind the KV pool: the same texts as without, of prompts
# that a process before, or the same one, has read; and no others' blocks.
set -u
. "$(dirname "$0")/../../tap.sh"

top=$(cd "$(dirname "$0")/../../.." && pwd)
model=${TANDEM_TEST_MODEL:-$top/tools/demo-model/tandem-demo.gguf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
store=$work/store

[ -r "$model" ] || tap_skip_all "$model is not here"

first="And God said to the people that the land was good, and they said that it was good in the land of the people"
second="In the days of the king there was a man in the city, and he went out to the house of the people with his son"
first="$first, and $first"
second="$second, and $second"
run() {	# run OPTION...: both prompts, one after the other
	tandem run --model "$model" --prompt "$first" --prompt "$second" --prompt "$first" \
		--tokens 8 --batch 1 --json --stats "$work/stats" --kv-store-wait 60000 "$@" \
		>"$work/text" 2>"$work/errors"
}

sum() {	# sum NAME: over all prompts
	python3 -c 'import json, sys; print(sum(json.loads(line)[sys.argv[2]] for line in open(sys.argv[1])))' \
		"$work/stats" "$1"
}

for mode in agg disagg; do
	rm -f "$store"
	run --mode $mode --no-prefix-cache
	tap_same $? 0 "$mode: without"
	cp "$work/text" "$work/expected"

	run --mode $mode --kv-store "$store" --kv-store-size 8
	tap_same $? 0 "$mode: a new store: $(head -c 300 "$work/errors" | tr '\n' ' ')"
	cmp -s "$work/text" "$work/expected"
	tap_ok $? "$mode: the same texts"
	tap_same "$(sum restored_tokens)" 0 "$mode: nothing to bring back yet"

	run --mode $mode --kv-store "$store" --kv-store-size 8
	cmp -s "$work/text" "$work/expected"
	tap_ok $? "$mode: the same texts from a process before"
	[ "$(sum restored_tokens)" -gt 0 ]
	tap_ok $? "$mode: and $(sum restored_tokens) of their tokens"
	[ "$(stat -c %s "$store")" -le $((8 << 20)) ]
	tap_ok $? "$mode: no larger than it may be"
	tap_same "$(stat -c %a "$store")" 600 "$mode: for this user alone"

	# A pool that has room for one of the prompts only.
	rm -f "$store"
	run --mode $mode --kv-store "$store" --kv-tokens 64
	tap_same $? 0 "$mode: a small pool: $(head -c 300 "$work/errors" | tr '\n' ' ')"
	cmp -s "$work/text" "$work/expected"
	tap_ok $? "$mode: the same texts with a small pool"
	tail -n 1 "$work/stats" >"$work/third"
	[ "$(json_field "$work/third" restored_tokens)" -gt 0 ]
	tap_ok $? "$mode: the first prompt came back when it was its turn again"

	# Two in three bytes of it are something else.
	python3 - "$store" <<'END'
import sys
with open(sys.argv[1], "r+b") as file:
    data = bytearray(file.read())
    for i in range(4096, len(data)):
        if i % 3:
            data[i] ^= 0x55
    file.seek(0)
    file.write(data)
END
	run --mode $mode --kv-store "$store"
	tap_same $? 0 "$mode: a damaged store"
	cmp -s "$work/text" "$work/expected"
	tap_ok $? "$mode: the same texts with a damaged store"
	tap_same "$(sum restored_tokens)" 0 "$mode: nothing came from it"
done

talk() {	# talk PROMPT OPTION...: one prompt, with a longer answer
	local prompt=$1
	shift
	tandem run --model "$model" --prompt "$prompt" --tokens 48 --json --stats "$work/stats" \
		--kv-store-wait 60000 "$@" >"$work/text" 2>"$work/errors"
}

# A conversation goes on in another process, from the answer of the one before.
rm -f "$store"
talk "$first" --kv-store "$store"
tap_same $? 0 "conversation: begun: $(head -c 300 "$work/errors" | tr '\n' ' ')"
prompt_tokens=$(json_field "$work/stats" prompt_tokens)
whole="$first$(cat "$work/text") And so"
talk "$whole" --no-prefix-cache
cp "$work/text" "$work/expected"
sent=$(json_field "$work/stats" kv_bytes)
talk "$whole" --kv-store "$store"
tap_same $? 0 "conversation: gone on with: $(head -c 300 "$work/errors" | tr '\n' ' ')"
cmp -s "$work/text" "$work/expected"
tap_ok $? "conversation: the same text"
for pool in restored kv_restored; do
	tokens=$(json_field "$work/stats" ${pool}_tokens)
	[ "$tokens" -gt "$prompt_tokens" ]
	tap_ok $? "conversation: ${pool}_tokens: $tokens, more than the first prompt's $prompt_tokens"
	tap_same "$tokens" "$(json_field "$work/stats" ${pool/restored/cached}_tokens)" \
		"conversation: that is all that was there"
done
all=$(json_field "$work/stats" prompt_tokens)
blocks=$(((all + 15) / 16))
tap_same "$(json_field "$work/stats" kv_bytes)" $((sent / blocks * (blocks - tokens / 16))) \
	"conversation: what decode's pool has from the store is not sent"

refused() {	# refused DESCRIPTION WORD OPTION...
	local what=$1 word=$2
	shift 2
	run "$@"
	tap_same $? 1 "$what: status 1"
	grep -qF -- "$word" "$work/errors"
	tap_ok $? "$what: $(head -c 300 "$work/errors" | tr '\n' ' ')"
}

run --kv-store "$store"
exec 9<>"$store"
flock 9
refused "in use" "in use" --kv-store "$store"
exec 9>&-
refused "other blocks" "blocks are" --kv-store "$store" --block-tokens 32
refused "other elements" "of type" --kv-store "$store" --kv-type f32
refused "too small for a block" "no room" --kv-store "$work/none" --kv-store-size 1 \
	--block-tokens 4096
cp "$0" "$work/script"
refused "no store" "no KV store" --kv-store "$work/script"
cmp -s "$0" "$work/script"
tap_ok $? "no store: left as it was"
# A model of the same shape in all respects, with one weight another.
python3 - "$model" "$work/other.gguf" <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[-5] ^= 1
open(sys.argv[2], "wb").write(data)
END
model=$work/other.gguf
refused "other weights" "another model" --kv-store "$store"

tap_end
