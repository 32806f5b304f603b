#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The probes are in the library, under their names and with as many arguments as
# runtime/xfer_probe.h says, where there was <sys/sdt.h> to build it with.
set -u
. "$(dirname "$0")/../../tap.sh"

echo '#include <sys/sdt.h>' | cc -E -o /dev/null - 2>/dev/null ||
	tap_skip_all "there is no <sys/sdt.h> (Debian: systemtap-sdt-dev)"
command -v readelf >/dev/null || tap_skip_all "there is no readelf"
library=${TANDEM_BUILD:?}/lib/libtandem.so.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# NAME ARGUMENTS of each place, and whether a counter switches it on ("0x0": none does).
LC_ALL=C readelf -nW "$library" | awk '
	/Provider:/ { provider = $NF }
	$1 == "Name:" { name = $2 }
	$1 == "Location:" { semaphore = $NF }
	$1 == "Arguments:" { print provider, name, NF - 1, semaphore }' >"$work/probes"

documented() {	# documented NAME: its arguments according to the header
	sed -n "s/^ \*	$1(\(.*\))$/\1/p" "$(dirname "$0")/../../../runtime/xfer_probe.h" |
		tr ',' '\n' | wc -l
}

for name in transfer_post transfer_first_write transfer_last_completion transfer_end; do
	grep -q "^tandem $name " "$work/probes"
	tap_ok $? "$name is there"
	tap_same "$(awk -v name=$name '$2 == name { print $3 }' "$work/probes" | sort -u)" \
		"$(documented $name)" "$name: as many arguments as documented"
done
tap_same "$(awk '{ print $2 }' "$work/probes" | sort -u | wc -l)" 4 "there are no others"
tap_same "$(awk '{ print $4 }' "$work/probes" | sort -u)" 0x0000000000000000 \
	"none has a counter to look at: a probe that is off is an instruction that does nothing"
tap_end
