# SPDX-License-Identifier: MIT
# Text to tokens and back.

native-tests += tests/native/tokenizer/test_tokenizer

tests/native/tokenizer/test_tokenizer-src := \
	tests/native/tokenizer/stories_vectors.c \
	tests/native/tokenizer/test_tokenizer.c \
	tests/native/tokenizer/vocabulary.c \
	tests/native/support/gguf_writer.c \
	tests/native/support/shared_data.c

native-tests += tests/native/tokenizer/test_vectors

tests/native/tokenizer/test_vectors-src := \
	tests/native/tokenizer/test_vectors.c \
	tests/native/tokenizer/vector_file.c \
	tests/native/support/gguf_writer.c

native-tests += tests/native/tokenizer/test_byte_level

tests/native/tokenizer/test_byte_level-src := \
	tests/native/tokenizer/test_byte_level.c \
	tests/native/tokenizer/vector_file.c \
	tests/native/support/gguf_writer.c
