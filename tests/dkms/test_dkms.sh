#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What dkms(8) does with the driver: add, build and install, for Debian's 6.12
# headers, into directories of the test's own. $DKMS may name another dkms.
set -u
. "$(dirname "$0")/../tap.sh"

top=$(cd "$(dirname "$0")/../.." && pwd)
dkms=${DKMS:-dkms}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v "$dkms" >/dev/null || tap_skip_all "dkms is not installed"
[ "$(id -u)" = 0 ] || tap_skip_all "dkms wants to be run by root"
kernel=$("$top/tests/vm/fetch-kernel") ||
	tap_skip_all "there are no headers to build for"
headers=$(realpath "$kernel/headers")
release=${headers##*linux-headers-}

make -s -C "$top" dkms-source DESTDIR="$work/source" >&2
tap_ok $? "make dkms-source lays out the sources"
version=$(cd "$work/source/usr/src" && echo tandem-*)
version=${version#tandem-}

# run COMMAND [OPTION]...
run() {
	local command=$1
	shift

	"$dkms" "$command" -m tandem -v "$version" --dkmstree "$work/tree" \
		--sourcetree "$work/source/usr/src" \
		--installtree "$work/modules" "$@" >"$work/log" 2>&1
	tap_ok $? "dkms $command"
}

mkdir -p "$work/tree" "$work/modules/$release"
run add
run build -k "$release" --kernelsourcedir "$headers"
run install -k "$release" --kernelsourcedir "$headers" --no-depmod
run status
grep -q "tandem/$version.*installed" "$work/log"
tap_ok $? "which says that it is installed"
for module in tandem_emu tandem; do
	file=$work/modules/$release/updates/dkms/$module.ko
	tap_same "$(/sbin/modinfo -F vermagic "$file" | cut -d ' ' -f 1)" \
		"$release" "$module.ko is for that kernel"
done
run remove --all
[ ! -e "$work/modules/$release/updates/dkms/tandem.ko" ]
tap_ok $? "which takes the modules away"
tap_end
