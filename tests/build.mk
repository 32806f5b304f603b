# SPDX-License-Identifier: MIT
# Tests, area by area: each lists its own (see the top of the Makefile).

native-tests	:=
thread-tests	:=
guest-tests	:=
node-tests	:=
native-scripts	:=
guest-scripts	:=
guest-fuzzers	:=
fuzzers		:=
debug-scripts	:= tests/debug/test_controls.sh

include $(wildcard tests/native/*/build.mk tests/guest/*/build.mk \
	tests/fuzz/build.mk)
