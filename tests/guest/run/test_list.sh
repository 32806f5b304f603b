#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tandem list: columns that line up, and in JSON what sysfs says.

. "$(dirname "$0")/../../tap.sh"

[ -d /sys/class/accel/accel1 ] || tap_skip_all "there are no accel0 and accel1"
work=$(mktemp -d)

# What power/control is to be, of both devices.
control() {
	echo "$1" | tee /sys/class/accel/accel[01]/device/power/control >/dev/null
}

# Lest they fall asleep between one look and the next.
control on
trap 'control auto; rm -rf "$work"' EXIT

# field DEVICE NAME: of the JSON.
field() {
	python3 -c 'import json, sys
print(next(d for d in json.load(open(sys.argv[1])) if d["name"] == sys.argv[2])[sys.argv[3]])' \
		"$work/json" "$1" "$2"
}

attribute() {	# attribute DEVICE NAME
	cat "/sys/class/accel/$1/device/$2"
}

tandem list >"$work/text"
tap_ok $? "list succeeds"
tap_same "$(head -n 1 "$work/text" | awk '{ print $1, $2, $3, $4 }')" \
	"DEVICE PROFILE ROLE STATE" "it begins with the names of the columns"
tap_same "$(grep -E '^(DEVICE|accel)' "$work/text" | awk '{ print length($0) }' | sort -u | wc -l)" 1 \
	"the lines of devices are of one length"
tap_same "$(grep -c '^accel[01] .* running .* MiB .* MiB .* % .* %$' "$work/text")" 2 \
	"both devices run, with units"
! grep -q $'\033' "$work/text"
tap_ok $? "no colours in a file"

tandem list --json >"$work/json"
tap_ok $? "list --json succeeds"
for device in accel0 accel1; do
	for name in profile role state firmware_version memory_size copy_queues \
		compute_queues commands_completed commands_failed; do
		tap_same "$(field $device $name)" "$(attribute $device $name)" \
			"$device: $name is that of sysfs"
	done
done
for name in copy_utilisation compute_utilisation; do
	python3 -c 'import sys; sys.exit(not 0 <= float(sys.argv[1]) <= 1)' "$(field accel0 $name)"
	tap_ok $? "$name is a share"
done
tap_end
