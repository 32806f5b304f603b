# SPDX-License-Identifier: MIT
# The fuzzer of tandem.ko. tests/guest/driver/test_driver_fuzz.sh runs it.

guest-fuzzers += tests/fuzz/fuzz_driver

tests/fuzz/fuzz_driver-src := \
	tests/fuzz/fuzz_driver.c \
	tests/fuzz/fuzz_calls.c \
	tests/fuzz/fuzz_command.c \
	tests/fuzz/fuzz_drain.c \
	tests/fuzz/fuzz_file.c \
	tests/fuzz/fuzz_firmware.c \
	tests/fuzz/fuzz_ops.c \
	tests/fuzz/fuzz_program.c \
	tests/fuzz/fuzz_random.c \
	tests/fuzz/fuzz_ring.c \
	tests/fuzz/fuzz_share.c \
	tests/fuzz/fuzz_system.c \
	tests/fuzz/fuzz_world.c
