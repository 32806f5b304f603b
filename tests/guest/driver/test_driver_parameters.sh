#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Parameters of the driver: what is in range is taken, what is not is refused and
# changes nothing, and the kernel's log says what would do.

. "$(dirname "$0")/../../tap.sh"

parameters=/sys/module/tandem/parameters
modules=${TANDEM_MODULES:-}
[ -n "$modules" ] && [ -e "$modules/tandem.ko" ] ||
	tap_skip_all "no TANDEM_MODULES with tandem.ko to load again"
[ -d $parameters ] || tap_skip_all "tandem.ko is not loaded"

# What the log says of a parameter, this time.
say() {	# say NAME
	dmesg | sed "1,/$mark/d" | grep -c "tandem: parameter $1: give a number from $least to $most"
}

mark_log() {
	mark="mark $RANDOM$RANDOM of test_driver_parameters"
	echo "$mark" >/dev/kmsg
}

refuses() {	# refuses NAME TEXT
	mark_log
	! echo "$2" 2>/dev/null >"$parameters/$1" &&
		[ "$(cat "$parameters/$1")" = "$usual" ] && [ "$(say "$1")" = 1 ]
}

takes() {	# takes NAME NUMBER
	echo "$2" >"$parameters/$1" && [ "$(cat "$parameters/$1")" = "$2" ]
}

while read -r name usual least most; do
	tap_same "$(cat "$parameters/$name")" "$usual" "$name is $usual"
	for number in "$least" "$most" "$usual"; do
		takes "$name" "$number"
		tap_ok $? "$name takes $number"
	done
	wrong=(-1 $((most + 1)) 4294967296 18446744073709551617 many "" 1x)
	[ "$least" -eq 0 ] || wrong+=($((least - 1)))
	for text in "${wrong[@]}"; do
		refuses "$name" "$text"
		tap_ok $? "$name refuses '$text'"
	done
	modinfo -p "$modules/tandem.ko" | grep -q "^$name:.*$most.*(uint)"
	tap_ok $? "modinfo tells the range of $name"
done <<-END
	command_timeout_ms 60000 10 86400000
	admin_timeout_ms 10000 10 600000
	heartbeat_timeout_ms 3000 1000 600000
	reset_limit 8 0 1000
	reset_window_s 60 1 86400
	ban_score 16 0 1000000
	ban_forgiving_ms 60000 0 86400000
	user_ban_score 48 0 1000000
END
tap_same "$(find $parameters -type f | wc -l)" 8 "there are no others"

# Also when it is loaded.
first=$(cat /sys/class/accel/accel0/device/profile)
rmmod tandem
mark_log
least=10 most=86400000
insmod "$modules/tandem.ko" command_timeout_ms=9 2>/dev/null
[ $? -ne 0 ] && [ ! -d /sys/module/tandem ] && [ "$(say command_timeout_ms)" = 1 ]
tap_ok $? "the module is not loaded with a parameter that is out of range"
insmod "$modules/tandem.ko" command_timeout_ms=59999
tap_same "$(cat $parameters/command_timeout_ms)" 59999 \
	"it is with one that is in range"
echo 60000 >$parameters/command_timeout_ms

# Devices that all wait for the driver are numbered in any order. What runs
# after this test wants those that there were.
profile_becomes() {	# profile_becomes PROFILE
	local tries=0

	while [ ! -e /dev/accel/accel0 ] && [ $tries -lt 300 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	[ "$(cat /sys/class/accel/accel0/device/profile)" = "$1" ]
}

tries=0
while ! profile_becomes "$first" && [ $tries -lt 50 ]; do
	tries=$((tries + 1))
	rmmod tandem
	insmod "$modules/tandem.ko"
done
tap_same "$(cat /sys/class/accel/accel0/device/profile)" "$first" \
	"accel0 can be what it was"
tap_end
