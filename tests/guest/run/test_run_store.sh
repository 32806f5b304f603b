#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `tandem run --kv-store` over the real driver: what a process before has read and
# written comes back to the memory of accel devices, past the page cache, and gives the
# same texts; a damaged file gives them, too, and a disk that hangs holds up nobody.
#
# Runs in the guest, with accel0 (prefill) and accel1 (decode). Makes itself a disk, with
# ext4, which the device mapper can stop; a kernel that cannot has the rest tested in memory.
set -u
. "$(dirname "$0")/../../tap.sh"

top=$(cd "$(dirname "$0")/../../.." && pwd)
model=$top/tools/demo-model/tandem-demo.gguf
work=$(mktemp -d)
disk=$work/disk	# where it is mounted
mapped=tandem-test-store
loop=

cleanup() {
	dmsetup resume $mapped 2>/dev/null
	mountpoint -q "$disk" && umount "$disk"
	dmsetup remove $mapped 2>/dev/null
	[ -z "$loop" ] || losetup -d "$loop"
	rm -rf "$work"
}
trap cleanup EXIT

make_disk() {
	modprobe -q -a loop dm_mod ext4
	truncate -s 64M "$work/image" &&
		loop=$(losetup --find --show "$work/image") &&
		mkfs.ext4 -q "$loop" &&
		dmsetup create --noudevsync $mapped \
			--table "0 $(blockdev --getsz "$loop") linear $loop 0" &&
		dmsetup mknodes --noudevsync $mapped &&
		mount -o noatime "/dev/mapper/$mapped" "$disk"
}

if [ ! -r "$model" ]; then
	tap_skip_all "$model is not here"
fi
[ -e /dev/accel/accel0 ] && [ -e /dev/accel/accel1 ]
tap_ok $? "accel0 and accel1 are there"

mkdir "$disk"
has_disk=true
make_disk >"$work/log" 2>&1 || has_disk=false
sed 's/^/# /' "$work/log"
store=$disk/store

first="And God said to the people that the land was good, and they said that it was good in the land of the people"
second="In the days of the king there was a man in the city, and he went out to the house of the people with his son"

run() {	# run MODE OPTION...: both prompts, one after the other
	local mode=$1
	shift
	tandem run --model "$model" --prompt "$first" --prompt "$second" --tokens 24 --batch 1 \
		--mode "$mode" --prefill accel0 --decode accel1 --kv-store-wait 600000 \
		--json --stats "$work/stats" "$@" >"$work/text" 2>"$work/errors"
}

# Of the prompts' reports, the N-th's value of an expression.
value() {	# value N EXPRESSION
	python3 -c 'import json, sys
report = [json.loads(line) for line in open(sys.argv[1])][int(sys.argv[2])]
print(eval(sys.argv[3], {}, report))' "$work/stats" "$1" "$2" 2>/dev/null
}

expected() {	# expected STATUS DESCRIPTION: of the last run, and the texts
	tap_same "$1" 0 "$2"
	sed 's/^/# /' "$work/errors"
	cmp -s "$work/text" "$work/expected"
	tap_ok $? "$2: the same texts"
}

# Whole blocks of 16 tokens, of what can be taken from a cache: all but the last token.
blocks_of() {	# blocks_of N
	value "$1" "(prompt_tokens - 1) // 16 * 16"
}

for mode in agg disagg; do
	rm -f "$store"
	run $mode --no-prefix-cache
	cp "$work/text" "$work/expected"
	run $mode --kv-store "$store"
	expected $? "$mode: a new store"
	tap_same "$(value 1 restored_tokens)" 0 "$mode: nothing to bring back yet"

	run $mode --kv-store "$store"
	expected $? "$mode: a process later"
	for prompt in 0 1; do
		tap_same "$(value $prompt restored_tokens)" "$(blocks_of $prompt)" \
			"$mode: all of prompt $prompt came back where prefill runs"
		[ $mode = agg ] && continue
		tap_same "$(value $prompt kv_restored_tokens)" "$(blocks_of $prompt)" \
			"$mode: and where decode runs"
		tap_same "$(value $prompt kv_cached_tokens)" "$(blocks_of $prompt)" \
			"$mode: and was not sent"
	done
	tap_same "$(value 1 'kv_store["damaged"] + kv_store["failed"] + kv_store["late"]')" 0 \
		"$mode: nothing was amiss"
	if $has_disk; then
		[ "$(value 1 'kv_store["direct_bytes"]')" -gt 0 ]
		tap_ok $? "$mode: $(value 1 'kv_store["direct_bytes"]') bytes went past the page cache"
		tap_same "$(value 1 'kv_store["buffered_bytes"]')" 0 "$mode: and none through it"
	else
		tap_skip "$mode: past the page cache" "there is no disk: $(tail -n 1 "$work/log")"
	fi

	# A byte of each page: descriptions still say what blocks are, which these are not.
	cp "$store" "$work/undamaged"
	python3 - "$store" "$work/undamaged" <<'END'
import sys
data = bytearray(open(sys.argv[2], "rb").read())
for i in range(4096, len(data), 4096):
    data[i + 4000] ^= 1
open(sys.argv[1], "wb").write(data)
END
	run $mode --kv-store "$store"
	expected $? "$mode: a store with a damaged page each"
	[ "$(value 1 'kv_store["damaged"]')" -gt 0 ]
	tap_ok $? "$mode: $(value 1 'kv_store["damaged"]') damaged blocks were noticed"
	cp "$work/undamaged" "$store"
done

# Elements of another size, blocks that are not aligned: the page cache takes them.
run disagg --kv-type q8_0 --block-tokens 3 --no-prefix-cache
cp "$work/text" "$work/q8_0"
run disagg --kv-type q8_0 --block-tokens 3 --kv-store "$disk/unaligned"
run disagg --kv-type q8_0 --block-tokens 3 --kv-store "$disk/unaligned"
cmp -s "$work/text" "$work/q8_0"
tap_ok $? "blocks that are not aligned: the same texts"
[ "$(value 1 restored_tokens)" -gt 0 ] && [ "$(value 1 'kv_store["buffered_bytes"]')" -gt 0 ]
tap_ok $? "blocks that are not aligned: they came back through the page cache"

lines() {	# lines COUNT: wait until there are as many reports
	for _ in $(seq 600); do
		[ "$(wc -l 2>/dev/null <"$work/stats")" = "$1" ] && return 0
		sleep 0.1
	done
	return 1
}

if $has_disk; then
	# What opening reads is in the page cache, so only blocks need the disk.
	sync
	cat "$store" >/dev/null
	rm -f "$work/stats"
	dmsetup suspend --noflush --nolockfs $mapped
	run disagg --kv-store "$store" --kv-store-wait 300 &
	lines 2
	tap_ok $? "hanging disk: both prompts are answered while it hangs"
	dmsetup resume $mapped
	wait $!
	expected $? "hanging disk"
	tap_same "$(value 0 restored_tokens) $(value 1 restored_tokens)" "0 0" \
		"hanging disk: nothing came from it"
	tap_same "$(value 0 'restore_ms > 0') $(value 1 restore_ms)" "True 0.0" \
		"hanging disk: only the first prompt waited for it"
	tap_same "$(value 1 'kv_store["late"]')" 2 "hanging disk: it was late for both pools"
	grep -q "not answer in time" "$work/errors"
	tap_ok $? "hanging disk: that is told"
	run disagg --kv-store "$store"
	expected $? "hanging disk: the process after"
	tap_same "$(value 0 restored_tokens)" "$(blocks_of 0)" "hanging disk: all is there still"

	# In a pool of eight blocks the third prompt needs some that are being written.
	third="And it came to pass that the men of the city went up to the mountain and saw it all"
	small=(--prompt "$third" --kv-tokens 128)
	run agg "${small[@]}" --no-prefix-cache --kv-store "$disk/empty"
	cp "$work/text" "$work/expected"
	sync
	cat "$disk/empty" >/dev/null
	rm -f "$work/stats"
	dmsetup suspend --noflush --nolockfs $mapped
	run agg "${small[@]}" --kv-store "$disk/empty" --kv-store-wait 300 &
	lines 3
	tap_ok $? "disk that takes nothing: three prompts are answered while it hangs"
	tap_same "$(value 2 'kv_store["late"], kv_store["written"]')" "(1, 0)" \
		"disk that takes nothing: it was late, and nothing was written by then"
	dmsetup resume $mapped
	wait $!
	expected $? "disk that takes nothing"
else
	tap_skip "disk that hangs" "there is none: $(tail -n 1 "$work/log")"
fi

tap_end
