/* SPDX-License-Identifier: MIT */
/*
 * A small GGUF file with one of each kind of thing, and a place to put it.
 */
#ifndef TANDEM_TESTS_GGUF_SAMPLE_H
#define TANDEM_TESTS_GGUF_SAMPLE_H

#include "tests/native/support/gguf_writer.h"

/**
 * struct sample - where the fields are that tests corrupt
 * @writer: the file
 * @alignment: value of general.alignment
 * @key_length: length of the first key's name
 * @key_type: type of the first key
 * @string_length: length of sample.string's value
 * @bool_value: value of sample.bool
 * @array_type: element type of sample.strings
 * @array_count: element count of sample.strings
 * @inner_count: element count of the first inner array of sample.nested
 * @number_count: element count of sample.floats
 * @name_length: length of the first tensor's name
 * @dimension_count: of the first tensor
 * @dimensions: of the first tensor
 * @type: of the first tensor
 * @offset: of the first tensor
 * @second_name: text of the second tensor's name
 * @second_dimensions: of the second tensor
 * @second_type: of the second tensor
 * @second_offset: of the second tensor
 * @data: where the tensor data begins
 */
struct sample {
	struct gguf_writer writer;
	size_t alignment;
	size_t key_length;
	size_t key_type;
	size_t string_length;
	size_t bool_value;
	size_t array_type;
	size_t array_count;
	size_t inner_count;
	size_t number_count;
	size_t name_length;
	size_t dimension_count;
	size_t dimensions;
	size_t type;
	size_t offset;
	size_t second_name;
	size_t second_dimensions;
	size_t second_type;
	size_t second_offset;
	size_t data;
};

#define SAMPLE_ALIGNMENT	16

/*
 * Tensors: "first" F32 [4, 3], value i at element i; "second" F16 [8], zeros.
 * No padding at the end.
 */
void sample_begin(struct sample *sample);
void sample_end(struct sample *sample);

/* A directory of the test's own: path of the file in it, set up and removed. */
extern char sample_path[128];
int sample_setup(void **state);
int sample_teardown(void **state);

#endif /* TANDEM_TESTS_GGUF_SAMPLE_H */
