// SPDX-License-Identifier: MIT
/*
 * Files with random damage: opened or refused, never a crash or a read beyond
 * what is theirs. Meant for sanitizers. The seed is fixed; give another as the
 * argument.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/gguf.h"
#include "runtime/tokenizer.h"
#include "sample.h"

#define ROUNDS	20000

static uint64_t seed = 20261124;

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t next_random(void)
{
	uint64_t value = seed += 0x9e3779b97f4a7c15ull;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

static size_t below(size_t limit)
{
	return next_random() % limit;
}

/* A vocabulary, which the sample does not have. */
static void put_vocabulary(struct gguf_writer *writer)
{
	static const char *const texts[] = { "<unk>", "<s>", "</s>", "<0x41>", "\xe2\x96\x81",
					     "a", "b", "ab", "\xe2\x96\x81" "ab" };
	static const uint32_t types[] = { 2, 3, 3, 6, 1, 1, 1, 1, 1 };
	const size_t count = sizeof(texts) / sizeof(texts[0]);
	size_t i;

	gguf_writer_key_string(writer, "tokenizer.ggml.model", "llama");
	gguf_writer_key_array(writer, "tokenizer.ggml.tokens", TANDEM_GGUF_STRING, count);
	for (i = 0; i < count; i++)
		gguf_writer_string(writer, texts[i]);
	gguf_writer_key_array(writer, "tokenizer.ggml.scores", TANDEM_GGUF_FLOAT32, count);
	for (i = 0; i < count; i++)
		gguf_writer_f32(writer, -(float)i);
	gguf_writer_key_array(writer, "tokenizer.ggml.token_type", TANDEM_GGUF_INT32, count);
	for (i = 0; i < count; i++)
		gguf_writer_u32(writer, types[i]);
	gguf_writer_key_u32(writer, "tokenizer.ggml.bos_token_id", 1);
	gguf_writer_key_bool(writer, "tokenizer.ggml.add_bos_token", true);
}

static void mutate(struct gguf_writer *writer)
{
	static const uint64_t interesting[] = { 0, 1, 2, 7, 8, 9, 13, 255, 65535, 65536,
						INT32_MAX, UINT32_MAX, 1ull << 32, 1ull << 61,
						INT64_MAX, UINT64_MAX - 7, UINT64_MAX };
	size_t changes = 1 + below(2);

	while (changes--) {
		size_t at = below(writer->size);
		size_t left = writer->size - at;
		uint64_t value = interesting[below(sizeof(interesting) /
						   sizeof(interesting[0]))];
		size_t width = (size_t)1 << below(4);

		switch (below(12)) {
		case 0 ... 2:
			writer->bytes[at] = (unsigned char)next_random();
			break;
		case 3 ... 5:
			writer->bytes[at] ^= 1u << below(8);
			break;
		case 6 ... 8:
			memcpy(writer->bytes + at, &value, left < width ? left : width);
			break;
		case 9:
			writer->size = at + 1;
			break;
		default:
			/* A piece of the file in another place. */
			width = 1 + below(32);
			if (width > left)
				width = left;
			memmove(writer->bytes + below(writer->size - width + 1),
				writer->bytes + at, width);
		}
	}
}

/* Touch all that an opened file hands out. */
static uint64_t use_values(const struct tandem_gguf *file)
{
	static const char *const keys[] = {
		"sample.u8", "sample.i64", "sample.f32", "sample.f64", "sample.bool",
		"sample.string", "sample.strings", "sample.floats", "sample.ints", "sample.nothing",
		"sample.nested", "general.alignment", "tokenizer.ggml.tokens",
	};
	struct tandem_error error;
	uint64_t sum = 0;
	size_t i, j;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct tandem_gguf_string string = { 0 };
		struct tandem_gguf_array array = { 0 };
		size_t position = 0;
		int64_t integer = 0;
		uint64_t wide = 0;
		float number = 0;
		bool truth = false;

		tandem_gguf_u64(file, keys[i], &wide, &error);
		tandem_gguf_f32(file, keys[i], &number, &error);
		tandem_gguf_bool(file, keys[i], &truth, &error);
		sum += wide + (number > 0) + truth;
		if (!tandem_gguf_string(file, keys[i], &string, &error))
			for (j = 0; j < string.length; j++)
				sum += (unsigned char)string.data[j];
		if (tandem_gguf_array(file, keys[i], &array, &error))
			continue;
		for (j = 0; j < array.count && j < 1000; j++) {
			tandem_gguf_array_i64(&array, j, &integer);
			tandem_gguf_array_f32(&array, j, &number);
			sum += (uint64_t)integer + (number > 0);
		}
		while (tandem_gguf_array_next_string(&array, &position, &string))
			for (j = 0; j < string.length; j++)
				sum += (unsigned char)string.data[j];
	}
	return sum;
}

static uint64_t use_tensors(const struct tandem_gguf *file, size_t file_size)
{
	struct tandem_error error;
	uint64_t sum = 0;
	uint32_t i;
	size_t j;

	for (i = 0; i < tandem_gguf_tensor_count(file); i++) {
		const struct tandem_gguf_tensor *tensor = tandem_gguf_tensor_at(file, i);
		unsigned char byte;

		assert_ptr_equal(tandem_gguf_tensor(file, tensor->name), tensor);
		/* The end of the mapping is not the end of its last page. */
		assert_true(tensor->bytes <= file_size);
		assert_true(tensor->file_offset <= file_size - tensor->bytes);
		assert_true((uintptr_t)tensor->data % 8 == 0);
		for (j = 0; j < tensor->bytes; j++)
			sum += ((const unsigned char *)tensor->data)[j];
		assert_int_equal(tandem_gguf_read(file, tensor, tensor->bytes - 1, &byte, 1,
						  &error), 0);
	}
	return sum;
}

/* Return whether it had one. */
static bool use_tokenizer(const struct tandem_gguf *file)
{
	struct tandem_tokenizer *tokenizer = NULL;
	struct tandem_error error = { 0 };
	uint32_t ids[64], previous = TANDEM_TOKEN_NONE;
	ssize_t count, i;
	char text[4096];

	if (tandem_tokenizer_create(file, &tokenizer, &error)) {
		assert_null(tokenizer);
		assert_true(error.code < 0 && error.message[0]);
		return false;
	}
	count = tandem_tokenizer_encode(tokenizer, "ab a Ab", 7,
					tandem_tokenizer_add_bos(tokenizer), ids, 64);
	assert_true(count > 0 && count <= 64);
	for (i = 0; i < count; i++) {
		ssize_t bytes = tandem_tokenizer_decode(tokenizer, ids[i], previous, text,
							sizeof(text));

		assert_true(ids[i] < tandem_tokenizer_size(tokenizer));
		assert_true(bytes >= 0 && bytes <= (ssize_t)tandem_tokenizer_piece_max(tokenizer));
		previous = ids[i];
	}
	tandem_tokenizer_destroy(tokenizer);
	return true;
}

static void test_mutations(void **state)
{
	/* In memory: what is tested is not the disk. */
	int fd = memfd_create("mutated", MFD_CLOEXEC);
	char path[32];
	unsigned int round, opened = 0, tokenizers = 0;
	uint64_t sum = 0;

	(void)state;
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (round = 0; round < ROUNDS; round++) {
		struct tandem_error error = { 0 };
		struct tandem_gguf *file = NULL;
		struct sample sample;

		if (round & 1) {
			sample_begin(&sample);
		} else {
			gguf_writer_begin(&sample.writer);
			put_vocabulary(&sample.writer);
		}
		mutate(&sample.writer);
		assert_int_equal(gguf_writer_save(&sample.writer, path), 0);
		if (tandem_gguf_open(path, &file, &error) == 0) {
			opened++;
			sum += use_values(file);
			sum += use_tensors(file, sample.writer.size);
			tokenizers += use_tokenizer(file);
			tandem_gguf_close(file);
		} else {
			assert_null(file);
			assert_true(error.code < 0);
			assert_non_null(strstr(error.message, path));
		}
		sample_end(&sample);
	}
	close(fd);
	print_message("# %u files, %u opened, %u with a tokenizer (sum %" PRIu64 ")\n", ROUNDS,
		      opened, tokenizers, sum);
	/* Damage that always or never matters would test nothing. */
	assert_in_range(opened, ROUNDS / 10, ROUNDS - ROUNDS / 10);
	assert_in_range(tokenizers, ROUNDS / 50, ROUNDS / 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutations),
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
