#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The tandem command on devices in the process: what it prints where, and that
# bad input ends with one clear line and status 1.
set -u
. "$(dirname "$0")/../../tap.sh"

top=$(cd "$(dirname "$0")/../../.." && pwd)
model=${TANDEM_TEST_MODEL:-$top/tools/demo-model/tandem-demo.gguf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -r "$model" ] || tap_skip_all "$model is not here"

prompt="And God said"
run() {	# run OPTION...: standard output and error into files
	tandem run --prompt "$prompt" --tokens 8 "$@" >"$work/text" 2>"$work/errors"
}

refused() {	# refused DESCRIPTION WORD OPTION...
	local what=$1 word=$2 status
	shift 2
	run "$@"
	status=$?
	tap_same $status 1 "$what: status 1"
	tap_same "$(wc -l <"$work/errors")" 1 "$what: one line"
	grep -qF -- "$word" "$work/errors"
	tap_ok $? "$what: $(head -c 300 "$work/errors" | tr '\n' ' ')"
	tap_same "$(wc -c <"$work/text")" 0 "$what: no text"
}

run --model "$model" --json --stats "$work/stats" --verify
tap_same $? 0 "a split run"
tap_same "$(wc -c <"$work/errors")" 0 "nothing on standard error with --stats"
tap_same "$(json_field "$work/stats" text)" "$(cat "$work/text")" "text as in the report"
tap_same "$(json_field "$work/stats" aggregated_same)" True "tokens of an aggregated run"
tap_same "$(json_field "$work/stats" mode)" disagg "mode"
tap_same "$(json_field "$work/stats" generated_tokens)" 8 "number of tokens"
tap_same "$(json_field "$work/stats" kv_transport)" local "transport"
tap_same "$(json_field "$work/stats" kv_cpu_copied_bytes)" 0 "no KV copied by the CPU"
for name in prompt_tokens ttft_ms tpot_ms kv_bytes; do
	python3 -c 'import json, sys; sys.exit(not json.load(open(sys.argv[1]))[sys.argv[2]] > 0)' \
		"$work/stats" $name
	tap_ok $? "$name is there"
done
cp "$work/text" "$work/split"

run --model "$model" --transport tcp --streams 3 --json --stats "$work/stats" --verify
tap_same $? 0 "a split run over tcp"
tap_same "$(cat "$work/text")" "$(cat "$work/split")" "tcp: the same text"
tap_same "$(json_field "$work/stats" kv_transport)" tcp "tcp: named in the report"

# Each request has transfers, which can be followed one by one.
python3 - "$work/stats" <<'END'
import json, sys
stats = json.load(open(sys.argv[1]))
transfers = stats["kv_transfers"]
pushes = [one for one in transfers if one["kind"] == "push"]
receive, = [one for one in transfers if one["kind"] == "receive"]
assert len(pushes) == stats["kv_pushes"], transfers
assert len({one["id"] for one in transfers}) == len(transfers), transfers
assert {(one["transport"], one["result"], one["generation"]) for one in transfers} == \
    {("tcp", 0, receive["generation"])}, transfers
assert receive["bytes"] == sum(one["bytes"] for one in pushes) == stats["kv_bytes"], transfers
assert all(0 < one["rails"] < 8 for one in pushes), transfers
assert all(one["posted_ns"] <= one["first_write_ns"] <= one["last_write_ns"] <= one["done_ns"]
           for one in pushes), transfers
assert 0 < receive["exposed_ns"] / 1e6 <= stats["kv_exposed_ms"] + 1e-9, transfers
END
tap_ok $? "tcp: each transfer in the report"

run --model "$model" --transport auto --json --stats "$work/stats"
tap_same $? 0 "a split run over what is chosen"
tap_same "$(json_field "$work/stats" kv_transport)" local "auto: what was chosen is named"
python3 - "$work/stats" <<'END'
import json, sys
reasons = json.load(open(sys.argv[1]))["kv_transport_reasons"]
assert sorted(reasons) == ["local", "tcp", "verbs"], reasons
assert "one loop of one process" in reasons["local"], reasons
assert reasons["tcp"] == "tcp: it would do, but local comes first", reasons
END
tap_ok $? "auto: with a reason for each"
run --model "$model" --transport auto
grep -q "^ *tcp: it would do" "$work/errors"
tap_ok $? "auto: and for people"

# What the profiles would have needed: an estimate, where they have figures.
run --model "$model" --prefill inproc:trn2 --decode inproc:host --json --stats "$work/stats"
python3 - "$work/stats" <<'END'
import json, sys
modelled = json.load(open(sys.argv[1]))["modelled"]
assert modelled["prefill_ms"] > 0, modelled
assert modelled["kv_ms"] is None and modelled["step_ms"] is None, modelled
END
tap_ok $? "modelled time of trn2, and none of host"
run --model "$model" --prefill inproc:trn2 --decode inproc:h100 --json --stats "$work/stats"
python3 - "$work/stats" <<'END'
import json, sys
stats = json.load(open(sys.argv[1]))
# The link of trn2 is the slower one: 200 Gbit/s.
assert abs(stats["modelled"]["kv_ms"] - stats["kv_bytes"] / 25e9 * 1e3) < 1e-6, stats
assert 0 < stats["modelled"]["step_ms"], stats
END
tap_ok $? "modelled time of the transfer, and of a step"
run --model "$model" --prefill inproc:trn2 --decode inproc:h100
grep -q "modelled, not measured" "$work/errors"
tap_ok $? "labelled as such"

run --model "$model" --mode agg --json
tap_same $? 0 "an aggregated run"
tap_same "$(cat "$work/text")" "$(cat "$work/split")" "the same text"
tap_same "$(json_field "$work/errors" mode)" agg "the report is on standard error"

run --model "$model" --temperature 0.8 --seed 5
cp "$work/text" "$work/first"
run --model "$model" --temperature 0.8 --seed 5
tap_same "$(cat "$work/text")" "$(cat "$work/first")" "the same seed gives the same text"
run --model "$model" --temperature 0.8 --seed 6
[ "$(cat "$work/text")" != "$(cat "$work/first")" ]
tap_ok $? "another seed gives another text"
run --model "$model" --temperature 0.8 --seed 5 --top-k 1
tap_same "$(cat "$work/text")" "$(cat "$work/split")" "the one likeliest is that of no temperature"
run --model "$model" --temperature 1.5 --top-k 40 --top-p 0.95 --min-p 0.02 --repeat-penalty 1.2 \
	--repeat-last 32 --seed 7 --verify
tap_same $? 0 "sampling of every kind: split as aggregated"

NO_COLOR=1 run --model "$model"
! grep -q $'\033' "$work/errors" "$work/text"
tap_ok $? "no escape sequences in pipes"

# Several prompts: what they begin with alike is computed once.
first="And God said to the people that the land was good, and they said that it was good in the land of the people"
second="$first and that they should go up to the city"
for mode in agg disagg; do
	prompt=$first run --model "$model" --mode $mode --prompt "$second" --batch 1 --json \
		--stats "$work/stats"
	tap_same $? 0 "$mode: two prompts"
	cp "$work/text" "$work/both"
	tap_same "$(wc -l <"$work/stats")" 2 "$mode: a report for each"
	head -n 1 "$work/stats" >"$work/first"
	tail -n 1 "$work/stats" >"$work/second"
	tap_same "$(json_field "$work/first" cached_tokens)" 0 "$mode: nothing cached at first"
	tap_same "$(($(json_field "$work/second" cached_tokens) % 16))" 0 "$mode: whole blocks"
	[ "$(json_field "$work/second" cached_tokens)" -gt 0 ]
	tap_ok $? "$mode: the second prompt begins with what is cached"
	prompt=$first run --model "$model" --mode $mode --prompt "$second" --json \
		--stats "$work/stats" --no-prefix-cache
	cmp -s "$work/text" "$work/both"
	tap_ok $? "$mode: the same texts without"
	tail -n 1 "$work/stats" >"$work/plain"
	tap_same "$(json_field "$work/plain" cached_tokens)" 0 "$mode: nothing cached then"
done
[ "$(json_field "$work/second" kv_bytes)" -lt "$(json_field "$work/plain" kv_bytes)" ]
tap_ok $? "less was moved"

# Many at once say the same as one after the other, in the order of the prompts.
python3 - "$work/prompts" <<'END'
import json, sys
words = "And God said to the people that the land was good in the days of old".split()
with open(sys.argv[1], "w") as out:
    for i in range(12):
        line = {"prompt": " ".join(words[i % 5:3 + i % 7 + i % 5]), "tokens": 3 + i}
        if i % 3 == 2:
            line.update(temperature=0.9, seed=i, tenant="tenant %d" % (i % 2))
        out.write(json.dumps(line) + "\n")
END
tandem make-model --type f16 --dim 64 --layers 3 --heads 4 --kv-heads 2 --ffn 96 \
	--vocabulary 300 --context 128 "$work/tiny.gguf"
for file in "$model" "$work/tiny.gguf"; do
	for mode in agg disagg; do
		what="$(basename "$file"), $mode"
		for batch in 1 8; do
			tandem run --model "$file" --mode $mode --prompts "$work/prompts" \
				--batch $batch --kv-tokens 1024 --no-prefix-cache --json \
				--stats "$work/stats" >"$work/text$batch" 2>"$work/errors"
			tap_same $? 0 "$what: 12 prompts, $batch at once"
		done
		cmp -s "$work/text1" "$work/text8"
		tap_ok $? "$what: the same texts in the same order"
		python3 - "$work/stats" <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert [line["prompt"] for line in lines] == list(range(12)), "order"
assert len({line["request"] for line in lines}) == 12, "requests have numbers"
for i, line in enumerate(lines):
    assert line["generated_tokens"] == 3 + i or line["finish"] == "end of text", line
    assert line["kv_exposed_ms"] >= 0 and line["kv_post_ms"] >= 0, line
    assert (line["kv_pushes"] > 0) == (line["mode"] == "disagg"), line
END
		tap_ok $? "$what: a report for each, in order"
	done
done

# A bad one does not keep the others from being served.
printf '%s\n' '{"prompt": "And God said", "tokens": 8}' \
	"{\"prompt\": \"$(printf 'word %.0s' $(seq 2000))\"}" '{"prompt": "And God said", "tokens": 8}' |
	tandem run --model "$model" --prompts - --json --stats "$work/stats" \
	>"$work/text" 2>"$work/errors"
tap_same $? 1 "one of three prompts is too long: status 1"
tap_same "$(cat "$work/text")" "$(cat "$work/split" "$work/split")" "the other two are answered"
tap_same "$(grep -c '"error"' "$work/stats")" 1 "and the report says which is not"
for line in '{"prompt": 3}' '{"tokens": 3}' '{"prompt": "x", "tenor": 1}' '[1]' 'x'; do
	echo "$line" | tandem run --model "$model" --prompts - >"$work/text" 2>"$work/errors"
	tap_same $? 1 "a line that is no prompt: $line"
	grep -q "line 1" "$work/errors"
	tap_ok $? "named: $(cat "$work/errors")"
done

# Control tokens are text, unless they may be spelled out.
prompt="And</s>God" run --model "$model" --json --stats "$work/stats"
plain=$(json_field "$work/stats" prompt_tokens)
prompt="And</s>God" run --model "$model" --parse-special --json --stats "$work/stats"
[ "$(json_field "$work/stats" prompt_tokens)" -lt "$plain" ]
tap_ok $? "--parse-special: one token for the spelling of a control token"

# A terminal sees how a long prompt is worked through; a pipe does not.
long="$(for _ in $(seq 60); do printf 'And God said '; done)"
prompt=$long run --model "$model"
! grep -q "prefill .*%\|loading .*%" "$work/errors"
tap_ok $? "no progress line in a pipe"
if command -v script >/dev/null; then
	script -qec "tandem run --model '$model' --prompt '$long' --tokens 2" /dev/null \
		</dev/null >"$work/terminal" 2>&1
	grep -aq "prefill 100 %" "$work/terminal"
	tap_ok $? "a progress line on a terminal"
	grep -aq "loading to inproc:wse3 100 %" "$work/terminal"
	tap_ok $? "also for loading"
	NO_COLOR=1 script -qec "tandem run --model '$model' --prompt x --tokens 2" /dev/null \
		</dev/null >"$work/terminal" 2>&1
	! grep -aq $'\033' "$work/terminal"
	tap_ok $? "with NO_COLOR, no escape sequences"
else
	tap_skip "a progress line on a terminal" "there is no script(1)"
fi

# Models of random weights, in each type that there is; KV in each type.
for type in f32 f16 bf16 q8_0 q4_0 q4_k q6_k; do
	tandem make-model --type $type --dim 256 --layers 2 --heads 4 --kv-heads 2 --ffn 512 \
		--vocabulary 400 --context 256 "$work/random.gguf"
	run --model "$work/random.gguf" --kv-type q8_0 --json --stats "$work/stats" --verify
	tap_same "$(json_field "$work/stats" aggregated_same)" True "$type: split and aggregated"
done
tandem make-model --dim 64 --layers 1 --heads 4 --ffn 64 --vocabulary 300 --context 64 \
	"$work/narrow.gguf"
refused "KV in blocks wider than heads" "whole blocks" --model "$work/narrow.gguf" --kv-type q8_0
tandem make-model --type q4_k --dim 768 --ffn 100 "$work/none.gguf" 2>"$work/errors"
tap_same $? 1 "no blocks of q4_k in 100 columns"
[ ! -e "$work/none.gguf" ]
tap_ok $? "and no file"
tandem make-model --type f16 "$work/nowhere/none.gguf" 2>"$work/errors"
tap_same $? 1 "a model that cannot be written"

refused "no such model" "$work/none.gguf" --model "$work/none.gguf"
head -c 100000 "$model" >"$work/short.gguf"
refused "a model cut short" "$work/short.gguf" --model "$work/short.gguf"
head -c 20 "$model" >"$work/header.gguf"
refused "a header cut short" "$work/header.gguf" --model "$work/header.gguf"
echo "not a model, but long enough to look like something" >"$work/text.gguf"
refused "no model at all" "$work/text.gguf" --model "$work/text.gguf"
# The architecture is the first string value that says so.
python3 - "$model" "$work/other.gguf" <<'END'
import sys
data = open(sys.argv[1], "rb").read()
key = b"general.architecture"
at = data.index(b"llama", data.index(key) + len(key))
open(sys.argv[2], "wb").write(data[:at] + b"mamba" + data[at + 5:])
END
refused "another architecture" "mamba" --model "$work/other.gguf"
prompt=$(for _ in $(seq 3000); do printf 'And God said '; done) \
	refused "a prompt too long" "context" --model "$model"
refused "no such device" "accel99" --model "$model" --decode accel99
refused "no such profile" "tpu9" --model "$model" --decode inproc:tpu9
refused "an address that is none" "nowhere" --model "$model" --transport tcp --address nowhere
if [ -n "$(ls /sys/class/infiniband 2>/dev/null)" ]; then
	tap_skip "verbs without an RDMA device" "there is one"
else
	refused "verbs without an RDMA device" "rxe" --model "$model" --transport verbs
fi
refused "a device too small" "inproc" --model "$model" --decode inproc:wse3,mem=1M

tandem nonsense >"$work/text" 2>"$work/errors"
tap_same $? 1 "an unknown command"
tandem --help >"$work/text" 2>"$work/errors"
tap_same $? 0 "--help"
tandem run --tokens 0 --model "$model" --prompt x >"$work/text" 2>"$work/errors"
tap_same $? 1 "no tokens at all are refused"
tandem run --temp nan --model "$model" --prompt x >"$work/text" 2>"$work/errors"
tap_same $? 1 "a temperature that is no number is refused"
for bad in "top-p 0" "top-p 1.1" "min-p -1" "min-p nan" "repeat-penalty 0" "repeat-last 257" \
	"top-k -1" "temperature -0.1" "temperature inf"; do
	tandem run --${bad% *} "${bad#* }" --model "$model" --prompt x >"$work/text" 2>"$work/errors"
	tap_same $? 1 "--$bad is refused"
	grep -q -- "--${bad% *}" "$work/errors"
	tap_ok $? "--$bad: the message names it"
done
tandem list --json >"$work/list"
python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$work/list"
tap_ok $? "the list is JSON"
tap_end
