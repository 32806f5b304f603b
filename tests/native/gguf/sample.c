// SPDX-License-Identifier: MIT
/*
 * A small GGUF file with one of each kind of thing, and a place to put it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/gguf.h"
#include "sample.h"

char sample_path[128];

static void put_keys(struct sample *sample)
{
	struct gguf_writer *writer = &sample->writer;

	sample->key_length = writer->size;
	sample->key_type = writer->size + 8 + strlen("sample.u8");
	gguf_writer_key(writer, "sample.u8", TANDEM_GGUF_UINT8);
	gguf_writer_u8(writer, 200);
	gguf_writer_key(writer, "sample.i8", TANDEM_GGUF_INT8);
	gguf_writer_u8(writer, (uint8_t)-3);
	gguf_writer_key(writer, "sample.u16", TANDEM_GGUF_UINT16);
	gguf_writer_u16(writer, 60000);
	gguf_writer_key(writer, "sample.i16", TANDEM_GGUF_INT16);
	gguf_writer_u16(writer, 300);
	gguf_writer_key_u32(writer, "sample.u32", 4000000000u);
	gguf_writer_key(writer, "sample.i32", TANDEM_GGUF_INT32);
	gguf_writer_u32(writer, 77);
	gguf_writer_key(writer, "sample.u64", TANDEM_GGUF_UINT64);
	gguf_writer_u64(writer, UINT64_MAX);
	gguf_writer_key(writer, "sample.i64", TANDEM_GGUF_INT64);
	gguf_writer_u64(writer, (uint64_t)-5);
	gguf_writer_key_f32(writer, "sample.f32", 1.5f);
	gguf_writer_key(writer, "sample.f64", TANDEM_GGUF_FLOAT64);
	gguf_writer_f64(writer, 0.25);
	gguf_writer_key(writer, "sample.huge", TANDEM_GGUF_FLOAT64);
	gguf_writer_f64(writer, 1e300);
	sample->bool_value = writer->size + 8 + strlen("sample.bool") + 4;
	gguf_writer_key_bool(writer, "sample.bool", true);
	sample->string_length = writer->size + 8 + strlen("sample.string") + 4;
	gguf_writer_key_string(writer, "sample.string", "llama");
	sample->alignment = writer->size + 8 + strlen("general.alignment") + 4;
	gguf_writer_key_u32(writer, "general.alignment", SAMPLE_ALIGNMENT);
}

static void put_arrays(struct sample *sample)
{
	struct gguf_writer *writer = &sample->writer;

	gguf_writer_key_array(writer, "sample.strings", TANDEM_GGUF_STRING, 3);
	sample->array_type = writer->size - 12;
	sample->array_count = writer->size - 8;
	gguf_writer_string(writer, "one");
	gguf_writer_string(writer, "");
	gguf_writer_string(writer, "three");
	gguf_writer_key_array(writer, "sample.floats", TANDEM_GGUF_FLOAT32, 2);
	sample->number_count = writer->size - 8;
	gguf_writer_f32(writer, -1.0f);
	gguf_writer_f32(writer, 2.0f);
	gguf_writer_key_array(writer, "sample.ints", TANDEM_GGUF_INT32, 2);
	gguf_writer_u32(writer, (uint32_t)-7);
	gguf_writer_u32(writer, 8);
	gguf_writer_key_array(writer, "sample.bools", TANDEM_GGUF_BOOL, 2);
	gguf_writer_u8(writer, 0);
	gguf_writer_u8(writer, 1);
	gguf_writer_key_array(writer, "sample.nothing", TANDEM_GGUF_STRING, 0);
	gguf_writer_key_array(writer, "sample.nested", TANDEM_GGUF_ARRAY, 2);
	gguf_writer_u32(writer, TANDEM_GGUF_UINT64);
	sample->inner_count = writer->size;
	gguf_writer_u64(writer, 1);
	gguf_writer_u64(writer, 9);
	gguf_writer_u32(writer, TANDEM_GGUF_STRING);
	gguf_writer_u64(writer, 1);
	gguf_writer_string(writer, "deep");
}

static void put_tensors(struct sample *sample)
{
	static const uint64_t first[] = { 4, 3 }, second[] = { 8 };
	struct gguf_writer *writer = &sample->writer;
	int i;

	sample->name_length = writer->size;
	sample->dimension_count = writer->size + 8 + strlen("first");
	sample->dimensions = sample->dimension_count + 4;
	sample->type = sample->dimensions + 2 * 8;
	sample->offset = sample->type + 4;
	gguf_writer_tensor(writer, "first", 2, first, 0, 0);
	sample->second_name = writer->size + 8;
	sample->second_dimensions = sample->second_name + strlen("second") + 4;
	sample->second_type = sample->second_dimensions + 8;
	sample->second_offset = sample->second_type + 4;
	gguf_writer_tensor(writer, "second", 1, second, 1, 48);

	gguf_writer_align(writer, SAMPLE_ALIGNMENT);
	sample->data = writer->size;
	for (i = 0; i < 12; i++)
		gguf_writer_f32(writer, i);
	for (i = 0; i < 8; i++)
		gguf_writer_u16(writer, 0);
}

void sample_begin(struct sample *sample)
{
	gguf_writer_begin(&sample->writer);
	put_keys(sample);
	put_arrays(sample);
	put_tensors(sample);
}

void sample_end(struct sample *sample)
{
	gguf_writer_end(&sample->writer);
}

int sample_setup(void **state)
{
	const char *directory = getenv("TMPDIR");
	char made[96];

	(void)state;
	snprintf(made, sizeof(made), "%s/tandem-gguf-XXXXXX", directory ? directory : "/tmp");
	if (!mkdtemp(made))
		return -1;
	snprintf(sample_path, sizeof(sample_path), "%s/sample.gguf", made);
	return 0;
}

int sample_teardown(void **state)
{
	(void)state;
	unlink(sample_path);
	*strrchr(sample_path, '/') = '\0';
	return rmdir(sample_path);
}
