#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# probe.sh PROBES.C COMPILER [FLAG...]: prints a header with a TANDEM_HAVE_ macro
# for each part of PROBES.C that compiles. Called by kbuild, with its flags.
set -u

probes=$1
shift

# Warnings do not decide (W=1 is not to change what is found), wrong types do.
compile() {
	part=$1
	shift
	"$@" -Wno-error -Werror=implicit-function-declaration \
		-Werror=incompatible-pointer-types -Werror=int-conversion \
		-D"TANDEM_PROBE_$part" -fsyntax-only "$probes"
}

compile KERNEL "$@" >&2 || {
	echo "probe.sh: cannot compile against this kernel: see above" >&2
	exit 1
}
echo "/* Made by driver/compat/probe.sh for one kernel. */"
sed -n 's/^#ifdef TANDEM_PROBE_\([A-Z0-9_]*\)$/\1/p' "$probes" |
while read -r name; do
	if compile "$name" "$@" >/dev/null 2>&1; then
		echo "#define TANDEM_HAVE_$name 1"
	else
		echo "/* no TANDEM_HAVE_$name */"
	fi
done
