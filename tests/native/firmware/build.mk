# SPDX-License-Identifier: MIT
# The device.

native-tests += \
	tests/native/firmware/test_admin \
	tests/native/firmware/test_commands \
	tests/native/firmware/test_copy_list \
	tests/native/firmware/test_fault \
	tests/native/firmware/test_forward \
	tests/native/firmware/test_handshake \
	tests/native/firmware/test_log \
	tests/native/firmware/test_memory_classes \
	tests/native/firmware/test_misbehaviour \
	tests/native/firmware/test_mutation \
	tests/native/firmware/test_program

thread-tests += \
	tests/native/firmware/test_commands \
	tests/native/firmware/test_misbehaviour \
	tests/native/firmware/test_program

native-scripts += tests/native/firmware/test_sram_option.sh

firmware-bench-src := \
	tests/native/firmware/bench.c \
	tests/native/firmware/driver.c \
	tests/native/firmware/tiny_model.c

tests/native/firmware/test_admin-src := \
	tests/native/firmware/driver.c \
	tests/native/firmware/gate.c \
	tests/native/firmware/test_admin.c
tests/native/firmware/test_commands-src := \
	tests/native/firmware/driver.c \
	tests/native/firmware/test_commands.c
tests/native/firmware/test_copy_list-src := \
	tests/native/firmware/driver.c \
	tests/native/firmware/test_copy_list.c
tests/native/firmware/test_fault-src := \
	firmware-sim/fault_guard.c \
	tests/native/firmware/test_fault.c \
	$(firmware-bench-src)
tests/native/firmware/test_forward-src := \
	tests/native/firmware/test_forward.c \
	$(firmware-bench-src)
tests/native/firmware/test_handshake-src := \
	tests/native/firmware/driver.c \
	tests/native/firmware/test_handshake.c
tests/native/firmware/test_log-src := \
	tests/native/firmware/driver.c \
	tests/native/firmware/test_log.c
tests/native/firmware/test_memory_classes-src := \
	tests/native/firmware/driver.c \
	tests/native/firmware/test_memory_classes.c
tests/native/firmware/test_misbehaviour-src := \
	tests/native/firmware/driver.c \
	tests/native/firmware/test_misbehaviour.c
tests/native/firmware/test_mutation-src := \
	tests/native/firmware/test_mutation.c \
	$(firmware-bench-src)
tests/native/firmware/test_program-src := \
	tests/native/firmware/gate.c \
	tests/native/firmware/test_program.c \
	$(firmware-bench-src)
