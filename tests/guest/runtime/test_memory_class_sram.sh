#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The tests of memory classes on a device that has two, which the guest's own do
# not have.

. "$(dirname "$0")/../../tap.sh"

program=$(dirname "$(command -v tandem)")/../tests/guest/runtime/test_memory_class
before=$(ls /sys/class/accel)
tandem-fw --profile trn2 --mem 64M --sram 1M >/dev/null 2>&1 &
trap 'kill %1; wait' EXIT

device=
for ((i = 0; i < 600 && ${#device} == 0; i++)); do
	sleep 0.1
	device=$(comm -13 <(echo "$before" | sort) <(ls /sys/class/accel | sort) | head -n 1)
done
if [ -z "$device" ]; then
	tap_ok 1 "a device with SRAM appears"
	tap_end
fi
# The node comes with the class's entry, its number a moment later.
for ((i = 0; i < 100; i++)); do
	[ -c "/dev/accel/$device" ] && break
	sleep 0.1
done
# Lest it be another device, on which they pass as well.
TANDEM_TEST_CLASSES=2 TANDEM_TEST_DEVICES=$device "$program"
