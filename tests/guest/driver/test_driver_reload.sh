#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Modules come and go: rmmod with devices plugged in, devices that wait for the
# driver, and a device that serves again afterwards.

. "$(dirname "$0")/../../tap.sh"

modules=${TANDEM_MODULES:-}
[ -n "$modules" ] && [ -e "$modules/tandem.ko" ] ||
	tap_skip_all "no TANDEM_MODULES with tandem.ko to load again"
[ -d /sys/module/tandem ] || tap_skip_all "tandem.ko is not loaded"

shopt -s nullglob

count() {	# count PATH...
	echo $#
}

bus_devices() {
	count /sys/bus/tandem_emu/devices/*
}

# Counts nodes, for some time, until there are so many.
nodes() {	# nodes COUNT
	local tries=0

	while [ "$(count /dev/accel/accel*)" != "$1" ] && [ $tries -lt 300 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	count /dev/accel/accel*
}

before=$(nodes 2)
first=$(cat /sys/class/accel/accel0/device/profile)
devices=$(bus_devices)

exec 9<>/dev/accel/accel0
rmmod tandem 2>/dev/null
[ $? -ne 0 ]
tap_ok $? "the driver stays while a node is open"
exec 9>&-

rmmod tandem
tap_ok $? "the driver can be removed while devices are plugged in"
tap_same "$(nodes 0)" 0 "its nodes go with it"
tap_same "$(bus_devices)" "$devices" "the devices stay on the bus"

for round in 1 2 3; do
	insmod "$modules/tandem.ko" && [ "$(nodes "$before")" = "$before" ] &&
		rmmod tandem
	tap_ok $? "reload $round brings the devices up and down"
done

tandem-fw --profile host --mem 16M >/dev/null 2>&1 &
pid=$!
tries=0
while [ "$(bus_devices)" = "$devices" ] && [ $tries -lt 100 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
insmod "$modules/tandem.ko"
tap_same "$(nodes $((before + 1)))" $((before + 1)) \
	"a device that was there before the driver is taken"
kill -9 "$pid"
wait "$pid" 2>/dev/null
tap_same "$(nodes "$before")" "$before" "and goes with its process"

# Devices that all wait for the driver are numbered in any order, and one of the
# numbers may have gone with the process. What runs after this test wants those
# that there were.
as_before() {
	[ -e /dev/accel/accel1 ] &&
		[ "$(cat /sys/class/accel/accel0/device/profile)" = "$first" ]
}
tries=0
until as_before || [ $tries -ge 50 ]; do
	tries=$((tries + 1))
	rmmod tandem
	insmod "$modules/tandem.ko"
	nodes "$before" >/dev/null
done
as_before
tap_ok $? "accel0 and accel1 can be what they were"
tap_end
