#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tandem tokenize: lines, JSON and ids of the same tokens, and clear refusals.
set -u
. "$(dirname "$0")/../../tap.sh"

top=$(cd "$(dirname "$0")/../../.." && pwd)
model=$top/tests/native/tokenizer/vectors/bytes.gguf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tokenize() {	# tokenize OPTION...
	tandem tokenize --model "$model" "$@" >"$work/out" 2>"$work/errors"
}

refused() {	# refused DESCRIPTION WORD COMMAND...
	local what=$1 word=$2 status
	shift 2
	"$@" >"$work/out" 2>"$work/errors"
	status=$?
	tap_same $status 1 "$what: status 1"
	grep -qF -- "$word" "$work/errors"
	tap_ok $? "$what: $(head -c 200 "$work/errors" | tr '\n' ' ')"
	tap_same "$(wc -c <"$work/out")" 0 "$what: nothing on standard output"
}

tokenize $'a\xc3\xa9\n\x1b'
tap_same $? 0 "a text"
tap_same "$(head -1 "$work/out")" "    97 -> 'a'" "a line: an id and its piece"
tap_same "$(wc -l <"$work/out")" "$(grep -c ' -> ' "$work/out")" "a token, a line"
! grep -q $'\033' "$work/out"
tap_ok $? "no escape sequences"

tokenize --ids "and the Lord <|im_start|>"
ids=$(cat "$work/out")
tokenize --json "and the Lord <|im_start|>"
tap_same "$(json_field "$work/out" ids)" "$ids" "the same ids as JSON"
python3 - "$work/out" <<'END'
import json, sys
tokens = json.load(open(sys.argv[1]))
assert [token["id"] for token in tokens["tokens"]] == tokens["ids"]
assert "".join(token["piece"] for token in tokens["tokens"]) == "and the Lord <|im_start|>"
assert tokens["tokens"][-1]["piece"] == "<|im_start|>"
END
tap_ok $? "pieces make the text, the control token is one"
printf 'and the Lord <|im_start|>' | tandem tokenize --model "$model" --ids >"$work/out"
tap_same "$(cat "$work/out")" "$ids" "the same from standard input"

tokenize --no-parse-special --json "<|im_start|>"
python3 -c 'import json, sys; sys.exit(not len(json.load(open(sys.argv[1]))["ids"]) > 1)' "$work/out"
tap_ok $? "plain text on demand"
printf '\377' | tandem tokenize --model "$model" --json >"$work/out"
tap_same "$(json_field "$work/out" tokens)" "[{'id': 255, 'piece': [255]}]" \
	"what is no text is bytes"
tokenize --ids ""
tap_same "$(cat "$work/out")" "[]" "an empty text"

demo=$top/tools/demo-model/tandem-demo.gguf
tandem tokenize --model "$demo" --ids "And God" >"$work/out"
tap_same "$(cat "$work/out")" "[1, 1271, 397]" "a model of SentencePiece, with BOS"
tandem tokenize --model "$demo" --ids --no-bos "And God" >"$work/out"
tap_same "$(cat "$work/out")" "[1271, 397]" "and without"

refused "no model" "--model is needed" tandem tokenize text
refused "no such file" "$work/none" tandem tokenize --model "$work/none" text
refused "two texts" "one word too many" tandem tokenize --model "$model" a b
refused "two forms" "--ids" tandem tokenize --model "$model" --ids --json a
sed 's/llama/LLAMA/g; s/gpt2/gpt9/' "$model" >"$work/other.gguf"
refused "another kind" "'gpt9'" tandem tokenize --model "$work/other.gguf" text
tandem --help | grep -q tokenize
tap_ok $? "--help has it"
tap_end
