#!/bin/bash
# SPDX-License-Identifier: MIT
#
# sysfs: what exists is documented, what is documented exists, each has the form
# that is promised, and what should move does.

. "$(dirname "$0")/../../tap.sh"

documentation=$(dirname "$0")/../../../Documentation/ABI/testing/sysfs-driver-tandem
device=/sys/class/accel/accel0/device
[ -d "$device" ] || tap_skip_all "there is no accel0"

value() {	# value ATTRIBUTE
	cat "$device/$1"
}

# Those of the driver: no links, and not what every device has.
existing() {
	find "$device/" -mindepth 1 -maxdepth 2 -type f -printf '%P\n' |
		grep -vE '^(uevent|power/.*|accel/.*|driver_override|modalias)$' | sort
}

documented() {
	sed -n 's,^What:[[:space:]]*/sys/class/accel/accel<N>/device/,,p' \
		"$documentation" | sort
}

# Without the numbers of directories, each name once.
names() {
	existing | sed 's,^memory_class[0-9]/,memory_class<M>/,' | sort -u
}

# Entries that lack a field, or have no description; what is not an entry.
malformed() {
	awk -v RS= -F'\n' '
	/^[\t ]/ { next }	# goes on after an empty line
	{
		if ($1 !~ /^What:\t+\/sys\/class\/accel\/accel<N>\/device\/[a-z0-9_]+(<M>\/[a-z]+)?$/ ||
		    $2 !~ /^Date:\t+[A-Z][a-z]+ 20[0-9][0-9]$/ ||
		    $3 !~ /^KernelVersion:\t+[0-9]+\.[0-9]+$/ ||
		    $4 !~ /^Description:$/ || $5 !~ /^\t\t[A-Z]/)
			print $1
	}' "$documentation"
}

# One line; a newline at its end and nowhere else.
is_one_line() {	# is_one_line ATTRIBUTE
	[ "$(wc -l <"$device/$1")" = 1 ] && [ "$(tail -c 1 "$device/$1")" = "" ]
}

# has_form ATTRIBUTE: the value is of the kind that its description promises.
has_form() {
	local form

	case $1 in
	profile)		form='[!-~]+' ;;
	role)			form='any|prefill|decode' ;;
	firmware_version)	form='[ -~]+' ;;
	*_interface | *_version) form='[0-9]+\.[0-9]+' ;;
	*/kind)			form='dram|hbm|sram' ;;
	state)			form='running|suspended|resetting|failed' ;;
	*)			form='0|[1-9][0-9]*' ;;
	esac
	value "$1" | grep -qxE "$form"
}

# Who may write it.
writers() {
	case $1 in
	memory_limit_per_file | reset) echo root ;;
	*)			echo nobody ;;
	esac
}

# To be written, not to be read.
is_trigger() {
	[ "$1" = reset ]
}

mode() {
	if is_trigger "$1"; then
		echo 200
	elif [ "$(writers "$1")" = root ]; then
		echo 644
	else
		echo 444
	fi
}

tap_same "$(names)" "$(documented)" "every attribute is documented, and exists"
tap_same "$(documented | uniq -d)" "" "none is documented twice"
tap_same "$(malformed)" "" "the documentation has the kernel's form"

for attribute in $(existing); do
	is_trigger "$attribute" ||
		{ is_one_line "$attribute" && has_form "$attribute"; }
	tap_ok $? "$attribute: one value of its form"
	tap_same "$(stat -L -c %a "$device/$attribute")" "$(mode "$attribute")" \
		"$attribute: $(writers "$attribute") may write it"
done

case $(value state) in
running | suspended) true ;;
*) false ;;
esac
tap_ok $? "the device is well"
[ "$(value memory_used)" -le "$(value memory_size)" ]
tap_ok $? "no more memory is used than there is"
sum=0
for size in "$device"/memory_class*/size; do
	sum=$((sum + $(cat "$size")))
done
tap_same "$sum" "$(value memory_size)" "classes of memory add up to it"
[ "$(value contexts)" -lt "$(value contexts_max)" ]
tap_ok $? "no more contexts than there can be"

completed=$(value commands_completed)
failed=$(value commands_failed)
copying=$(value copy_busy_ns)
computing=$(value compute_busy_ns)
"$TANDEM_BUILD/bin/tandem" run --model "$(dirname "$0")/../../../tools/demo-model/tandem-demo.gguf" \
	--mode agg --decode accel0 --prompt "And" --tokens 2 >/dev/null
tap_ok $? "a model can be run"
[ "$(value commands_completed)" -gt "$completed" ]
tap_ok $? "commands are counted"
tap_same "$(value commands_failed)" "$failed" "none failed"
[ "$(value compute_busy_ns)" -gt "$computing" ]
tap_ok $? "compute_busy_ns moves with programs"
[ "$(value copy_busy_ns)" -ge "$copying" ]
tap_ok $? "copy_busy_ns does not go back"
tap_end
