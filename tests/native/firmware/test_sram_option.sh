#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tandem-fw --sram: what it takes, and how it says no.
set -u
. "$(dirname "$0")/../../tap.sh"

refused() {	# refused DESCRIPTION WORDS OPTION...
	local what=$1 words=$2 said
	shift 2
	said=$(tandem-fw --device /nonexistent "$@" 2>&1)
	[ $? != 0 ] && grep -qF -- "$words" <<<"$said"
	tap_ok $? "$what: $(head -n 1 <<<"$said")"
}

refused "a size that is none" "--sram: '1X'" --profile trn2 --sram 1X
refused "nothing" "--sram: 0" --profile trn2 --sram 0
refused "a part of a page" "--sram: 4097" --profile trn2 --sram 4097
refused "SRAM beside SRAM" "give its size with --mem" --profile wse3 --sram 1M
refused "more than a slot has" "at most 1024G together" \
	--profile trn2 --mem 1023G --sram 2G
# It gets as far as the bus, which is not there.
refused "a good size" "/nonexistent" --profile trn2 --mem 64M --sram 16M
refused "a good size, options in another order" "/nonexistent" \
	--sram 16M --mem 64M --profile h100
tap_end
