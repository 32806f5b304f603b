# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# TAP for test scripts: source it, call the functions, end with tap_end.

tap_number=0
tap_failed=0

tap_skip_all() {	# tap_skip_all REASON
	echo "1..0 # SKIP $1"
	exit 0
}

tap_ok() {	# tap_ok STATUS DESCRIPTION
	tap_number=$((tap_number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_number - $2"
	else
		echo "not ok $tap_number - $2"
		tap_failed=1
	fi
}

tap_skip() {	# tap_skip DESCRIPTION REASON
	tap_number=$((tap_number + 1))
	echo "ok $tap_number - $1 # SKIP $2"
}

tap_same() {	# tap_same ACTUAL EXPECTED DESCRIPTION
	[ "$1" = "$2" ]
	tap_ok $? "$3"
	[ "$1" = "$2" ] || printf '# expected: %s\n# got:      %s\n' "$2" "$1"
}

tap_end() {
	echo "1..$tap_number"
	exit $tap_failed
}

# One field of a file with a JSON object.
json_field() {	# json_field FILE NAME
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"  2>/dev/null
}

# The programs of the build under test come first.
[ -z "${TANDEM_BUILD:-}" ] || PATH=$TANDEM_BUILD/bin:$PATH
