# SPDX-License-Identifier: MIT
# The fuzzer of tandem.ko. It is built with the tests, but is not one of those
# that 'make check' runs: tests/vm/run build/release/tests/fuzz/fuzz_driver

guest-fuzzers += tests/fuzz/fuzz_driver

tests/fuzz/fuzz_driver-src := \
	tests/fuzz/fuzz_driver.c \
	tests/fuzz/fuzz_file.c \
	tests/fuzz/fuzz_firmware.c \
	tests/fuzz/fuzz_ops.c \
	tests/fuzz/fuzz_random.c \
	tests/fuzz/fuzz_ring.c \
	tests/fuzz/fuzz_share.c \
	tests/fuzz/fuzz_system.c \
	tests/fuzz/fuzz_world.c
