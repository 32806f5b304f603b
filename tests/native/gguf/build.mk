# SPDX-License-Identifier: MIT
# GGUF files.

gguf-sample-src := \
	tests/native/gguf/sample.c \
	tests/native/support/gguf_writer.c

native-tests += \
	tests/native/gguf/test_error \
	tests/native/gguf/test_gguf \
	tests/native/gguf/test_gguf_mutations

tests/native/gguf/test_gguf-src := \
	tests/native/gguf/test_gguf.c \
	tests/native/support/shared_data.c \
	$(gguf-sample-src)
tests/native/gguf/test_gguf_mutations-src := \
	tests/native/gguf/test_gguf_mutations.c \
	$(gguf-sample-src)
