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

# Counts nodes, for some time, until there are so many.
nodes() {	# nodes COUNT
	local tries

	for tries in $(seq 300); do
		[ "$(find /dev/accel -name 'accel*' | wc -l)" = "$1" ] && break
		sleep 0.1
	done
	find /dev/accel -name 'accel*' | wc -l
}

before=$(nodes 2)
devices=$(find /sys/bus/tandem_emu/devices -type l | wc -l)

exec 9<>/dev/accel/accel0
rmmod tandem 2>/dev/null
[ $? -ne 0 ]
tap_ok $? "the driver stays while a node is open"
exec 9>&-

rmmod tandem
tap_ok $? "the driver can be removed while devices are plugged in"
tap_same "$(nodes 0)" 0 "its nodes go with it"
tap_same "$(find /sys/bus/tandem_emu/devices -type l | wc -l)" "$devices" \
	"the devices stay on the bus"

for round in 1 2 3; do
	insmod "$modules/tandem.ko" && [ "$(nodes "$before")" = "$before" ] &&
		rmmod tandem
	tap_ok $? "reload $round brings the devices up and down"
done

tandem-fw --profile host --mem 16M >/dev/null 2>&1 &
pid=$!
for tries in $(seq 100); do
	[ "$(find /sys/bus/tandem_emu/devices -type l | wc -l)" \
		-gt "$devices" ] && break
	sleep 0.1
done
insmod "$modules/tandem.ko"
tap_same "$(nodes $((before + 1)))" $((before + 1)) \
	"a device that was there before the driver is taken"
kill -9 "$pid"
wait "$pid" 2>/dev/null
tap_same "$(nodes "$before")" "$before" "and goes with its process"
profile=$(cat /sys/class/accel/accel0/device/profile)
[ -n "$profile" ]
tap_ok $? "accel0 says what it is: $profile"
tap_end
