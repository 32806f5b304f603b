#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/run-suite: how it counts programs that pass, fail, skip and break.
set -u
. "$(dirname "$0")/../../tap.sh"

suite=$(cd "$(dirname "$0")/../.." && pwd)/run-suite
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit

expect() {	# expect LAST-LINE STATUS DESCRIPTION <PROGRAM
	local last=$1 wanted=$2 what=$3 status

	{ echo '#!/bin/sh'; cat; } >program
	chmod +x program
	rm -rf results
	"$suite" --time-limit 2 --results results program >log 2>&1
	"$suite" --total results >total
	status=$?
	tap_same "$(tail -n 1 total)" "$last" "$what"
	tap_same $status "$wanted" "$what: exit status"
}

expect "2 passed, 0 failed, 0 skipped" 0 "all well" <<'END'
echo 1..2; echo ok 1 - a; echo ok 2 - b
END
expect "1 passed, 1 failed, 1 skipped" 1 "one of each" <<'END'
echo 1..3; echo ok 1 - a; echo not ok 2 - b; echo ok 3 - c '# SKIP no reason'; exit 1
END
expect "0 passed, 0 failed, 1 skipped" 1 "nothing but skips" <<'END'
echo '1..0 # SKIP no data'
END
tap_same "$(head -n 1 total)" "skip: program: all: no data" "the reason is told"
expect "1 passed, 0 failed, 1 skipped" 0 "cmocka's way to skip" <<'END'
echo 1..2; echo ok 1 - a; echo '# skip: no model'; echo 'not ok 2 # SKIP b'
END
tap_same "$(head -n 1 total)" "skip: program: b: no model" "the reason is told"
expect "1 passed, 1 failed, 0 skipped" 1 "fewer tests than planned" <<'END'
echo 1..2; echo ok 1 - a
END
expect "1 passed, 1 failed, 0 skipped" 1 "crash after the last test" <<'END'
echo 1..1; echo ok 1 - a; kill -SEGV $$
END
expect "1 passed, 1 failed, 0 skipped" 1 "an exit status of its own" <<'END'
echo 1..1; echo ok 1 - a; exit 3
END
expect "1 passed, 1 failed, 0 skipped" 1 "time limit" <<'END'
echo 1..2; echo ok 1 - a; sleep 100
END
expect "0 passed, 1 failed, 0 skipped" 1 "no TAP at all" <<'END'
echo hello
END
"$suite" --total nowhere >total
tap_same $? 1 "missing results fail"
tap_same "$(tail -n 1 total)" "0 passed, 1 failed, 0 skipped" "and count as one failure"

tap_end
