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

# Fuzzers of hostile input, of libFuzzer: 'make fuzzers' builds them with clang.
# tests/fuzz/test_fuzzers.sh does, and runs them for some seconds.

fuzzers += tests/fuzz/fuzz_gguf tests/fuzz/fuzz_peer tests/fuzz/fuzz_tokenizer
native-scripts += tests/fuzz/test_fuzzers.sh

fuzz-runtime-src := \
	runtime/error.c \
	runtime/gguf.c \
	runtime/gguf_parse.c \
	runtime/gguf_value.c \
	$(filter runtime/tokenizer%.c runtime/utf8.c,$(runtime-src))

tests/fuzz/fuzz_gguf-src := tests/fuzz/fuzz_gguf.c $(fuzz-runtime-src)

tests/fuzz/fuzz_tokenizer-src := \
	tests/fuzz/fuzz_tokenizer.c \
	tests/native/support/gguf_writer.c \
	$(fuzz-runtime-src)

tests/fuzz/fuzz_peer-src := \
	tests/fuzz/fuzz_peer.c \
	runtime/error.c \
	runtime/kv_layout.c \
	runtime/peer_message.c \
	runtime/crc32c.c \
	runtime/xfer_description.c
