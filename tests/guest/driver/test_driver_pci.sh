#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The PCI adapter refuses a device that is none of ours: QEMU's "edu", which
# tests/vm/run --qemu '-device edu' gives the guest, bound through new_id.
set -u
. "$(dirname "$0")/../../tap.sh"

driver=/sys/bus/pci/drivers/tandem
device=

for path in /sys/bus/pci/devices/*; do
	[ "$(cat "$path/vendor" "$path/device" 2>/dev/null | tr '\n' ' ')" \
		= "0x1234 0x11e8 " ] && device=$path
done
[ -n "$device" ] || tap_skip_all "the guest has no edu device"
[ -d "$driver" ]
tap_ok $? "the driver is on the PCI bus"

messages() {
	dmesg | grep -c "${device##*/}: no Tandem device: magic 0x10000ed"
}

before=$(messages)
nodes=$(ls /dev/accel | wc -l)
echo 1234 11e8 >$driver/new_id
tap_ok $? "the device is offered to it"
tap_same "$(messages)" $((before + 1)) "it says what it refuses"
[ ! -e "$device/driver" ]
tap_ok $? "the device is not bound"
tap_same "$(ls /dev/accel | wc -l)" "$nodes" "there is no new node"
echo "${device##*/}" >$driver/bind 2>/dev/null
[ $? -ne 0 ]
tap_ok $? "nor can it be bound by name"
tap_same "$(messages)" $((before + 2)) "for the same reason"
echo 1234 11e8 >$driver/remove_id
tap_ok $? "the number can be taken back"
tap_end
