// SPDX-License-Identifier: MIT
/*
 * GGUF files: what right ones hold, and how wrong ones are refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/gguf.h"
#include "sample.h"
#include "tests/native/support/shared_data.h"

/* Save what has been written and open it. */
static int open_written(const struct gguf_writer *writer, struct tandem_gguf **file,
			struct tandem_error *error)
{
	assert_int_equal(gguf_writer_save(writer, sample_path), 0);
	return tandem_gguf_open(sample_path, file, error);
}

static struct tandem_gguf *open_sample(void)
{
	struct tandem_error error = { 0 };
	struct tandem_gguf *file = NULL;
	struct sample sample;
	int ret;

	sample_begin(&sample);
	ret = open_written(&sample.writer, &file, &error);
	sample_end(&sample);
	if (ret)
		fail_msg("%s", error.message);
	return file;
}

/* Expect a refusal whose message names the file and @thing. */
static void expect_refused(const struct gguf_writer *writer, int code, const char *thing)
{
	struct tandem_error error = { 0 };
	struct tandem_gguf *file = NULL;
	int ret = open_written(writer, &file, &error);

	if (!ret) {
		tandem_gguf_close(file);
		fail_msg("a file was opened that is wrong in '%s'", thing);
	}
	assert_null(file);
	if (ret != code)
		fail_msg("%d instead of %d: %s", ret, code, error.message);
	assert_int_equal(error.code, code);
	if (!strstr(error.message, "sample.gguf: "))
		fail_msg("does not name the file: %s", error.message);
	if (!strstr(error.message, thing))
		fail_msg("does not name '%s': %s", thing, error.message);
	/* Those who do not want to know must not crash. */
	assert_int_equal(tandem_gguf_open(sample_path, &file, NULL), code);
}

/* What right files hold. */

static void test_integers(void **state)
{
	static const struct {
		const char *key;
		uint64_t value;
	} fits[] = {
		{ "sample.u8", 200 }, { "sample.u16", 60000 }, { "sample.i16", 300 },
		{ "sample.u32", 4000000000u }, { "sample.i32", 77 }, { "sample.u64", UINT64_MAX },
	};
	struct tandem_gguf *file = open_sample();
	struct tandem_error error = { 0 };
	uint64_t wide = 0;
	uint32_t narrow = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fits) / sizeof(fits[0]); i++) {
		assert_int_equal(tandem_gguf_u64(file, fits[i].key, &wide, &error), 0);
		assert_true(wide == fits[i].value);
	}
	assert_int_equal(tandem_gguf_u32(file, "sample.u32", &narrow, &error), 0);
	assert_int_equal(narrow, 4000000000u);
	assert_int_equal(error.code, 0);

	narrow = 1;
	assert_int_equal(tandem_gguf_u32(file, "sample.u64", &narrow, &error), -EINVAL);
	assert_non_null(strstr(error.message, "'sample.u64' is 18446744073709551615"));
	assert_int_equal(tandem_gguf_u32(file, "sample.i8", &narrow, &error), -EINVAL);
	assert_non_null(strstr(error.message, "'sample.i8' is -3"));
	assert_int_equal(tandem_gguf_u64(file, "sample.i64", &wide, &error), -EINVAL);
	assert_int_equal(tandem_gguf_u32(file, "sample.f32", &narrow, &error), -EINVAL);
	assert_non_null(strstr(error.message, "not an integer"));
	assert_int_equal(tandem_gguf_u32(file, "sample.absent", &narrow, &error), -ENOENT);
	assert_non_null(strstr(error.message, "sample.gguf: key 'sample.absent' is missing"));
	assert_int_equal(tandem_gguf_u32(file, "sample.absent", &narrow, NULL), -ENOENT);
	assert_int_equal(narrow, 1);
	tandem_gguf_close(file);
}

static void test_other_values(void **state)
{
	struct tandem_gguf *file = open_sample();
	struct tandem_gguf_string string;
	struct tandem_error error = { 0 };
	float number = 0;
	bool truth = false;

	(void)state;
	assert_int_equal(tandem_gguf_f32(file, "sample.f32", &number, &error), 0);
	assert_true(number == 1.5f);
	assert_int_equal(tandem_gguf_f32(file, "sample.f64", &number, &error), 0);
	assert_true(number == 0.25f);
	assert_int_equal(tandem_gguf_f32(file, "sample.huge", &number, &error), -EINVAL);
	assert_non_null(strstr(error.message, "'sample.huge' is infinite"));
	assert_int_equal(tandem_gguf_f32(file, "sample.u32", &number, &error), -EINVAL);

	assert_int_equal(tandem_gguf_bool(file, "sample.bool", &truth, &error), 0);
	assert_true(truth);
	assert_int_equal(tandem_gguf_bool(file, "sample.u8", &truth, &error), -EINVAL);

	assert_int_equal(tandem_gguf_string(file, "sample.string", &string, &error), 0);
	assert_true(tandem_gguf_string_is(string, "llama"));
	assert_false(tandem_gguf_string_is(string, "llam"));
	assert_false(tandem_gguf_string_is(string, "llama2"));
	assert_int_equal(tandem_gguf_string(file, "sample.strings", &string, &error), -EINVAL);

	assert_true(tandem_gguf_has(file, "sample.bool"));
	assert_false(tandem_gguf_has(file, "sample.boo"));
	assert_false(tandem_gguf_has(file, "sample.bool2"));
	assert_false(tandem_gguf_has(file, ""));
	tandem_gguf_close(file);
}

static void test_fallbacks(void **state)
{
	struct tandem_gguf *file = open_sample();
	struct tandem_error error = { 0 };
	uint32_t narrow = 0;
	uint64_t wide = 0;
	float number = 0;
	bool truth = false;

	(void)state;
	assert_int_equal(tandem_gguf_u32_or(file, "sample.absent", 5, &narrow, &error), 0);
	assert_int_equal(narrow, 5);
	assert_int_equal(tandem_gguf_u64_or(file, "sample.absent", 6, &wide, &error), 0);
	assert_int_equal(wide, 6);
	assert_int_equal(tandem_gguf_f32_or(file, "sample.absent", 7, &number, &error), 0);
	assert_true(number == 7);
	assert_int_equal(tandem_gguf_bool_or(file, "sample.absent", true, &truth, &error), 0);
	assert_true(truth);

	assert_int_equal(tandem_gguf_u32_or(file, "sample.i32", 5, &narrow, &error), 0);
	assert_int_equal(narrow, 77);
	assert_int_equal(tandem_gguf_u32_or(file, "sample.string", 5, &narrow, &error), -EINVAL);
	assert_int_equal(tandem_gguf_f32_or(file, "sample.bool", 5, &number, &error), -EINVAL);
	tandem_gguf_close(file);
}

static void test_arrays(void **state)
{
	struct tandem_gguf *file = open_sample();
	struct tandem_gguf_array array;
	struct tandem_gguf_string string;
	struct tandem_error error = { 0 };
	size_t position = 0;
	int64_t integer;
	float number;

	(void)state;
	assert_int_equal(tandem_gguf_array(file, "sample.strings", &array, &error), 0);
	assert_int_equal(array.count, 3);
	assert_true(tandem_gguf_array_next_string(&array, &position, &string));
	assert_true(tandem_gguf_string_is(string, "one"));
	assert_true(tandem_gguf_array_next_string(&array, &position, &string));
	assert_int_equal(string.length, 0);
	assert_true(tandem_gguf_array_next_string(&array, &position, &string));
	assert_true(tandem_gguf_string_is(string, "three"));
	assert_false(tandem_gguf_array_next_string(&array, &position, &string));
	assert_int_equal(tandem_gguf_array_i64(&array, 0, &integer), -EINVAL);
	assert_int_equal(tandem_gguf_array_f32(&array, 0, &number), -EINVAL);

	assert_int_equal(tandem_gguf_array(file, "sample.floats", &array, &error), 0);
	assert_int_equal(tandem_gguf_array_f32(&array, 1, &number), 0);
	assert_true(number == 2.0f);
	assert_int_equal(tandem_gguf_array_f32(&array, 2, &number), -ERANGE);
	position = 0;
	assert_false(tandem_gguf_array_next_string(&array, &position, &string));

	assert_int_equal(tandem_gguf_array(file, "sample.ints", &array, &error), 0);
	assert_int_equal(tandem_gguf_array_i64(&array, 0, &integer), 0);
	assert_int_equal(integer, -7);
	assert_int_equal(tandem_gguf_array_i64(&array, UINT64_MAX, &integer), -ERANGE);

	assert_int_equal(tandem_gguf_array(file, "sample.nothing", &array, &error), 0);
	position = 0;
	assert_false(tandem_gguf_array_next_string(&array, &position, &string));
	assert_int_equal(tandem_gguf_array(file, "sample.u8", &array, &error), -EINVAL);
	assert_non_null(strstr(error.message, "not an array"));
	tandem_gguf_close(file);
}

static void test_tensors(void **state)
{
	struct tandem_gguf *file = open_sample();
	const struct tandem_gguf_tensor *first = tandem_gguf_tensor(file, "first");
	const struct tandem_gguf_tensor *second = tandem_gguf_tensor(file, "second");
	struct tandem_error error = { 0 };
	float numbers[12] = { 0 };
	int i;

	(void)state;
	assert_non_null(first);
	assert_non_null(second);
	assert_null(tandem_gguf_tensor(file, "third"));
	assert_null(tandem_gguf_tensor(file, ""));
	assert_int_equal(tandem_gguf_tensor_count(file), 2);
	assert_ptr_equal(tandem_gguf_tensor_at(file, 1), second);
	assert_null(tandem_gguf_tensor_at(file, 2));

	assert_string_equal(first->name, "first");
	assert_int_equal(first->dimension_count, 2);
	assert_int_equal(first->dimensions[0], 4);
	assert_int_equal(first->dimensions[1], 3);
	assert_int_equal(first->dimensions[2], 1);
	assert_int_equal(first->elements, 12);
	assert_int_equal(first->bytes, 48);
	assert_int_equal(second->bytes, 16);
	assert_string_equal(tandem_gguf_type_name(second->type), "F16");

	for (i = 0; i < 12; i++)
		assert_true(((const float *)first->data)[i] == i);
	assert_int_equal(tandem_gguf_read(file, first, 8, numbers, 40, &error), 0);
	assert_true(numbers[0] == 2 && numbers[9] == 11);
	assert_int_equal(tandem_gguf_read(file, first, 48, numbers, 0, &error), 0);
	assert_int_equal(tandem_gguf_read(file, first, 8, numbers, 41, &error), -EINVAL);
	assert_non_null(strstr(error.message, "'first'"));
	assert_int_equal(tandem_gguf_read(file, first, UINT64_MAX, numbers, 8, &error), -EINVAL);
	tandem_gguf_close(file);
}

static void test_version_2(void **state)
{
	struct tandem_error error = { 0 };
	struct tandem_gguf *file;
	struct sample sample;

	(void)state;
	sample_begin(&sample);
	gguf_writer_set_u32(&sample.writer, GGUF_WRITER_VERSION, 2);
	assert_int_equal(open_written(&sample.writer, &file, &error), 0);
	assert_non_null(tandem_gguf_tensor(file, "first"));
	tandem_gguf_close(file);
	sample_end(&sample);
}

static void test_no_tensors_and_default_alignment(void **state)
{
	static const uint64_t one = 1;
	const struct tandem_gguf_tensor *tensor;
	struct tandem_error error = { 0 };
	struct gguf_writer writer;
	struct tandem_gguf *file;

	(void)state;
	gguf_writer_begin(&writer);
	assert_int_equal(open_written(&writer, &file, &error), 0);
	assert_int_equal(tandem_gguf_tensor_count(file), 0);
	assert_null(tandem_gguf_tensor(file, "any"));
	tandem_gguf_close(file);

	gguf_writer_tensor(&writer, "only", 1, &one, 0, 0);
	gguf_writer_align(&writer, 32);
	gguf_writer_f32(&writer, 3.0f);
	assert_int_equal(open_written(&writer, &file, &error), 0);
	tensor = tandem_gguf_tensor(file, "only");
	assert_int_equal(tensor->file_offset % 32, 0);
	assert_true(*(const float *)tensor->data == 3.0f);
	tandem_gguf_close(file);
	gguf_writer_end(&writer);
}

/* A header longer than what is read at once. */
static void test_long_header(void **state)
{
	struct tandem_gguf_array array;
	struct tandem_gguf_string string;
	struct tandem_error error = { 0 };
	struct gguf_writer writer;
	struct tandem_gguf *file;
	size_t position = 0, i;
	char text[32];

	(void)state;
	gguf_writer_begin(&writer);
	gguf_writer_key_u32(&writer, "early", 1);
	gguf_writer_key_array(&writer, "long", TANDEM_GGUF_STRING, 40000);
	for (i = 0; i < 40000; i++) {
		snprintf(text, sizeof(text), "string %zu", i);
		gguf_writer_string(&writer, text);
	}
	gguf_writer_key_u32(&writer, "late", 2);
	assert_int_equal(open_written(&writer, &file, &error), 0);
	assert_true(tandem_gguf_has(file, "early") && tandem_gguf_has(file, "late"));
	assert_int_equal(tandem_gguf_array(file, "long", &array, &error), 0);
	for (i = 0; tandem_gguf_array_next_string(&array, &position, &string); i++) {
		snprintf(text, sizeof(text), "string %zu", i);
		assert_true(tandem_gguf_string_is(string, text));
	}
	assert_int_equal(i, 40000);
	tandem_gguf_close(file);
	gguf_writer_end(&writer);
}

static void test_quantised_sizes(void **state)
{
	static const struct {
		uint32_t type;
		const char *name;
		uint64_t bytes;
	} types[] = {
		{ 0, "F32", 1024 }, { 1, "F16", 512 }, { 2, "Q4_0", 144 }, { 8, "Q8_0", 272 },
		{ 12, "Q4_K", 144 }, { 14, "Q6_K", 210 }, { 30, "BF16", 512 },
	};
	static const uint64_t columns = 256;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct tandem_error error = { 0 };
		struct gguf_writer writer;
		struct tandem_gguf *file;

		gguf_writer_begin(&writer);
		gguf_writer_tensor(&writer, "weight", 1, &columns, types[i].type, 0);
		gguf_writer_align(&writer, 32);
		for (j = 1; j < types[i].bytes; j++)
			gguf_writer_u8(&writer, 0);
		expect_refused(&writer, -EBADMSG, "'weight'");
		gguf_writer_u8(&writer, 0);
		assert_int_equal(open_written(&writer, &file, &error), 0);
		assert_int_equal(tandem_gguf_tensor(file, "weight")->bytes, types[i].bytes);
		assert_string_equal(tandem_gguf_type_name(types[i].type), types[i].name);
		tandem_gguf_close(file);
		gguf_writer_end(&writer);
	}
	assert_null(tandem_gguf_type_name(4));
	assert_null(tandem_gguf_type_name(UINT32_MAX));
}

static void test_stories(void **state)
{
	const struct tandem_gguf_tensor *tensor;
	struct tandem_error error = { 0 };
	struct tandem_gguf *file;
	uint32_t layers = 0;
	char path[512];

	(void)state;
	if (!shared_data_path("data/models/stories260K.gguf", path, sizeof(path)))
		skip();
	if (tandem_gguf_open(path, &file, &error))
		fail_msg("%s", error.message);
	assert_int_equal(tandem_gguf_tensor_count(file), 47);
	assert_int_equal(tandem_gguf_u32(file, "llama.block_count", &layers, &error), 0);
	assert_int_equal(layers, 5);
	tensor = tandem_gguf_tensor(file, "blk.4.ffn_down.weight");
	assert_non_null(tensor);
	assert_int_equal(tensor->dimensions[0], 172);
	assert_int_equal(tensor->dimensions[1], 64);
	assert_int_equal(tensor->bytes, 172 * 64 * 4);
	tandem_gguf_close(file);
}

/* How wrong files are refused. */

static void test_truncation(void **state)
{
	struct tandem_error error = { 0 };
	struct tandem_gguf *file;
	struct sample sample;
	size_t size;

	(void)state;
	sample_begin(&sample);
	assert_int_equal(open_written(&sample.writer, &file, &error), 0);
	tandem_gguf_close(file);
	for (size = sample.writer.size; size-- > 0;) {
		file = NULL;
		assert_int_equal(truncate(sample_path, (off_t)size), 0);
		assert_int_equal(tandem_gguf_open(sample_path, &file, &error), -EBADMSG);
		assert_null(file);
		assert_non_null(strstr(error.message, "sample.gguf: "));
	}
	assert_non_null(strstr(error.message, "is empty"));
	sample_end(&sample);
}

#define OFFSET(field)	offsetof(struct sample, field)

/* Each field of the file in turn. */
static void test_corrupt_fields(void **state)
{
	static const struct {
		size_t field;	/* offset in struct sample of the offset in the file */
		unsigned int bytes;
		uint64_t value;
		int code;
		const char *thing;
	} cases[] = {
		{ OFFSET(key_length), 8, 0, -EBADMSG, "name of key 0" },
		{ OFFSET(key_length), 8, 65536, -EBADMSG, "name of key 0" },
		{ OFFSET(key_length), 8, UINT64_MAX, -EBADMSG, "name of key 0" },
		{ OFFSET(key_length), 8, INT64_MAX, -EBADMSG, "name of key 0" },
		{ OFFSET(key_length), 8, 10, -EBADMSG, "key 0 holds a NUL" },
		{ OFFSET(key_type), 4, 13, -EBADMSG, "'sample.u8' has the unknown value type 13" },
		{ OFFSET(key_type), 4, UINT32_MAX, -EBADMSG, "'sample.u8'" },
		{ OFFSET(string_length), 8, UINT64_MAX, -EBADMSG, "'sample.string'" },
		{ OFFSET(string_length), 8, UINT64_MAX - 7, -EBADMSG, "'sample.string'" },
		{ OFFSET(string_length), 8, 1 << 20, -EBADMSG, "'sample.string'" },
		{ OFFSET(bool_value), 1, 2, -EBADMSG, "'sample.bool' has a bool that is 2" },
		{ OFFSET(array_type), 4, 13, -EBADMSG, "'sample.strings' has the unknown" },
		{ OFFSET(array_count), 8, UINT64_MAX, -EBADMSG, "'sample.strings' claims" },
		{ OFFSET(array_count), 8, 1ull << 61, -EBADMSG, "'sample.strings' claims" },
		{ OFFSET(array_count), 8, 50, -EBADMSG, "'sample.strings'" },
		{ OFFSET(inner_count), 8, 1ull << 61, -EBADMSG, "'sample.nested' claims" },
		{ OFFSET(number_count), 8, 1ull << 62, -EBADMSG, "'sample.floats' claims" },
		{ OFFSET(number_count), 8, UINT64_MAX, -EBADMSG, "'sample.floats' claims" },
		{ OFFSET(alignment), 4, 0, -EBADMSG, "'general.alignment' is 0" },
		{ OFFSET(alignment), 4, 4, -EBADMSG, "'general.alignment' is 4" },
		{ OFFSET(alignment), 4, 24, -EBADMSG, "'general.alignment' is 24" },
		{ OFFSET(alignment), 4, UINT32_MAX, -EBADMSG, "'general.alignment'" },
		{ OFFSET(alignment), 4, 1u << 31, -EBADMSG, "goes beyond the end" },
		{ OFFSET(alignment), 4, 32, -EBADMSG, "'second' is at offset 48" },
		{ OFFSET(name_length), 8, 0, -EBADMSG, "name of tensor 0" },
		{ OFFSET(name_length), 8, 65, -EBADMSG, "name of tensor 0" },
		{ OFFSET(name_length), 8, 7, -EBADMSG, "tensor 0 holds a NUL" },
		{ OFFSET(name_length), 8, UINT64_MAX, -EBADMSG, "name of tensor 0" },
		{ OFFSET(dimension_count), 4, 0, -EBADMSG, "'first' has 0 dimensions" },
		{ OFFSET(dimension_count), 4, 5, -EBADMSG, "'first' has 5 dimensions" },
		{ OFFSET(dimension_count), 4, UINT32_MAX, -EBADMSG, "'first'" },
		{ OFFSET(dimensions), 8, 0, -EBADMSG, "'first' is empty" },
		{ OFFSET(dimensions), 8, UINT64_MAX, -EBADMSG, "size of tensor 'first' overflows" },
		{ OFFSET(dimensions), 8, UINT64_MAX / 3, -EBADMSG, "'first' overflows" },
		{ OFFSET(dimensions), 8, 1ull << 60, -EBADMSG, "'first' (" },
		{ OFFSET(dimensions), 8, 5, -EBADMSG, "'first' and 'second' overlap" },
		{ OFFSET(type), 4, 4, -EOPNOTSUPP, "'first' has the unknown type 4" },
		{ OFFSET(type), 4, 12, -EBADMSG, "'first' has rows of 4 elements" },
		{ OFFSET(type), 4, 1000, -EOPNOTSUPP, "'first' has the unknown type 1000" },
		{ OFFSET(type), 4, UINT32_MAX, -EOPNOTSUPP, "'first' has the unknown type" },
		{ OFFSET(offset), 8, 1, -EBADMSG, "'first' is at offset 1" },
		{ OFFSET(offset), 8, 1 << 20, -EBADMSG, "'first' (48 bytes" },
		{ OFFSET(offset), 8, UINT64_MAX - 15, -EBADMSG, "'first' (48 bytes" },
		{ OFFSET(offset), 8, UINT64_MAX - 63, -EBADMSG, "'first' (48 bytes" },
		{ OFFSET(second_dimensions), 8, 9, -EBADMSG, "'second' (18 bytes" },
		{ OFFSET(second_type), 4, 0, -EBADMSG, "'second' (32 bytes" },
		{ OFFSET(second_offset), 8, 32, -EBADMSG, "'first' and 'second' overlap" },
		{ OFFSET(second_offset), 8, 64, -EBADMSG, "'second' (16 bytes" },
	};
	struct sample sample;
	uint64_t value;
	size_t i, at;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sample_begin(&sample);
		memcpy(&at, (const char *)&sample + cases[i].field, sizeof(at));
		value = cases[i].value; /* little-endian, as the format */
		memcpy(sample.writer.bytes + at, &value, cases[i].bytes);
		expect_refused(&sample.writer, cases[i].code, cases[i].thing);
		sample_end(&sample);
	}
}

static void test_corrupt_file_header(void **state)
{
	static const struct {
		size_t at;
		unsigned int bytes;
		uint64_t value;
		int code;
		const char *thing;
	} cases[] = {
		{ 0, 4, 0x47475546, -EBADMSG, "is not a GGUF file" },
		{ 0, 1, 'g', -EBADMSG, "is not a GGUF file" },
		{ GGUF_WRITER_VERSION, 4, 0, -EOPNOTSUPP, "version 0" },
		{ GGUF_WRITER_VERSION, 4, 1, -EOPNOTSUPP, "version 1" },
		{ GGUF_WRITER_VERSION, 4, 4, -EOPNOTSUPP, "version 4" },
		{ GGUF_WRITER_VERSION, 4, 0x03000000, -EOPNOTSUPP, "big-endian" },
		{ GGUF_WRITER_TENSORS, 8, UINT64_MAX, -EBADMSG, "tensors" },
		{ GGUF_WRITER_TENSORS, 8, 1ull << 32, -EBADMSG, "tensors" },
		{ GGUF_WRITER_TENSORS, 8, 3, -EBADMSG, "name of tensor 2" },
		{ GGUF_WRITER_KEYS, 8, UINT64_MAX, -EBADMSG, "keys" },
		{ GGUF_WRITER_KEYS, 8, 1ull << 32, -EBADMSG, "keys" },
		{ GGUF_WRITER_KEYS, 8, 21, -EBADMSG, "name of tensor 0" },
	};
	struct sample sample;
	uint64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sample_begin(&sample);
		value = cases[i].value;
		memcpy(sample.writer.bytes + cases[i].at, &value, cases[i].bytes);
		expect_refused(&sample.writer, cases[i].code, cases[i].thing);
		sample_end(&sample);
	}
}

static void test_duplicates(void **state)
{
	static const uint64_t one = 1;
	struct gguf_writer writer;
	struct sample sample;

	(void)state;
	sample_begin(&sample);
	memcpy(sample.writer.bytes + sample.key_length + 8, "sample.i8", 9);
	expect_refused(&sample.writer, -EBADMSG, "key 'sample.i8' is there twice");
	sample_end(&sample);

	gguf_writer_begin(&writer);
	gguf_writer_tensor(&writer, "same", 1, &one, 0, 0);
	gguf_writer_tensor(&writer, "other", 1, &one, 0, 32);
	gguf_writer_tensor(&writer, "same", 1, &one, 0, 64);
	gguf_writer_align(&writer, 32);
	gguf_writer_put(&writer, (char [96]){ 0 }, 96);
	expect_refused(&writer, -EBADMSG, "tensor 'same' is there twice");
	gguf_writer_end(&writer);
}

static void test_alignment_of_wrong_type(void **state)
{
	struct gguf_writer writer;

	(void)state;
	gguf_writer_begin(&writer);
	gguf_writer_key_string(&writer, "general.alignment", "32");
	expect_refused(&writer, -EBADMSG, "'general.alignment' is a string");
	gguf_writer_end(&writer);
}

static void put_nested(struct gguf_writer *writer, unsigned int depth)
{
	gguf_writer_key(writer, "nested", TANDEM_GGUF_ARRAY);
	while (--depth) {
		gguf_writer_u32(writer, TANDEM_GGUF_ARRAY);
		gguf_writer_u64(writer, 1);
	}
	gguf_writer_u32(writer, TANDEM_GGUF_UINT8);
	gguf_writer_u64(writer, 0);
}

static void test_nesting(void **state)
{
	struct tandem_error error = { 0 };
	struct gguf_writer writer;
	struct tandem_gguf *file;

	(void)state;
	gguf_writer_begin(&writer);
	put_nested(&writer, TANDEM_GGUF_ARRAY_DEPTH_MAX);
	assert_int_equal(open_written(&writer, &file, &error), 0);
	tandem_gguf_close(file);
	gguf_writer_end(&writer);

	gguf_writer_begin(&writer);
	put_nested(&writer, TANDEM_GGUF_ARRAY_DEPTH_MAX + 1);
	expect_refused(&writer, -EFBIG, "'nested' nests");
	gguf_writer_end(&writer);

	gguf_writer_begin(&writer);
	put_nested(&writer, 100000);
	expect_refused(&writer, -EFBIG, "'nested' nests");
	gguf_writer_end(&writer);
}

/* A sparse file is as large as one likes, and its header must not follow. */
static void test_limits_in_sparse_file(void **state)
{
	const off_t size = (off_t)1 << 40;
	struct tandem_error error = { 0 };
	struct tandem_gguf *file = NULL;
	struct gguf_writer writer;

	(void)state;
	gguf_writer_begin(&writer);
	gguf_writer_key_array(&writer, "huge", TANDEM_GGUF_UINT8, 1ull << 39);
	assert_int_equal(gguf_writer_save(&writer, sample_path), 0);
	if (truncate(sample_path, size)) {
		gguf_writer_end(&writer);
		printf("# skip: no sparse file of a TiB in %s\n", sample_path);
		fflush(stdout);
		skip();
	}
	assert_int_equal(tandem_gguf_open(sample_path, &file, &error), -EFBIG);
	assert_non_null(strstr(error.message, "'huge'"));

	gguf_writer_set_u64(&writer, GGUF_WRITER_KEYS, 1ull << 30);
	assert_int_equal(gguf_writer_save(&writer, sample_path), 0);
	assert_int_equal(truncate(sample_path, size), 0);
	assert_int_equal(tandem_gguf_open(sample_path, &file, &error), -EFBIG);
	assert_non_null(strstr(error.message, "keys"));

	gguf_writer_end(&writer);
	gguf_writer_begin(&writer);
	gguf_writer_set_u64(&writer, GGUF_WRITER_TENSORS, 1ull << 30);
	assert_int_equal(gguf_writer_save(&writer, sample_path), 0);
	assert_int_equal(truncate(sample_path, size), 0);
	assert_int_equal(tandem_gguf_open(sample_path, &file, &error), -EFBIG);
	assert_non_null(strstr(error.message, "tensors"));
	gguf_writer_end(&writer);
}

static void test_not_a_file(void **state)
{
	struct tandem_error error = { 0 };
	struct tandem_gguf *file = NULL;

	(void)state;
	unlink(sample_path);
	assert_int_equal(tandem_gguf_open(sample_path, &file, &error), -ENOENT);
	assert_non_null(strstr(error.message, "sample.gguf: cannot open: No such file"));
	assert_int_equal(tandem_gguf_open("/", &file, &error), -EINVAL);
	assert_non_null(strstr(error.message, "not a regular file"));
	assert_int_equal(mkfifo(sample_path, 0600), 0);
	assert_int_equal(tandem_gguf_open(sample_path, &file, &error), -EINVAL);
	assert_null(file);
}

static void test_file_shortened_while_open(void **state)
{
	struct tandem_gguf *file;
	struct tandem_error error = { 0 };
	char bytes[48];

	(void)state;
	unlink(sample_path);
	file = open_sample();
	assert_int_equal(truncate(sample_path, 100), 0);
	assert_int_equal(tandem_gguf_read(file, tandem_gguf_tensor(file, "first"), 0, bytes,
					  sizeof(bytes), &error), -EBADMSG);
	assert_non_null(strstr(error.message, "shortened"));
	/* The header is a copy: unharmed. */
	assert_true(tandem_gguf_has(file, "sample.string"));
	tandem_gguf_close(file);
}

static void test_messages_are_printable(void **state)
{
	static const char key[] = "\x1b[31m\n\xff\xe2\x96\x81";
	struct tandem_error error = { 0 };
	struct tandem_gguf *file;
	struct gguf_writer writer;
	char path[400];
	int ret;

	(void)state;
	gguf_writer_begin(&writer);
	gguf_writer_key(&writer, key, 99);
	expect_refused(&writer, -EBADMSG, "key '?[31m??\xe2\x96\x81'");
	gguf_writer_end(&writer);

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	memcpy(path + sizeof(path) - 11, "/last.gguf", 10);
	ret = tandem_gguf_open(path, &file, &error);
	assert_true(ret == -ENAMETOOLONG || ret == -ENOENT);
	assert_non_null(strstr(error.message, "/last.gguf: cannot open: "));
	assert_memory_equal(error.message, "...", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_other_values),
		cmocka_unit_test(test_fallbacks),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_tensors),
		cmocka_unit_test(test_version_2),
		cmocka_unit_test(test_no_tensors_and_default_alignment),
		cmocka_unit_test(test_long_header),
		cmocka_unit_test(test_quantised_sizes),
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_corrupt_fields),
		cmocka_unit_test(test_corrupt_file_header),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_alignment_of_wrong_type),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_limits_in_sparse_file),
		cmocka_unit_test(test_not_a_file),
		cmocka_unit_test(test_file_shortened_while_open),
		cmocka_unit_test(test_messages_are_printable),
	};

	return cmocka_run_group_tests(tests, sample_setup, sample_teardown);
}
