// SPDX-License-Identifier: MIT
/*
 * Parsing the header of a GGUF file.
 *
 * The header (everything before the tensor data) is read into memory of ours,
 * piece by piece as parsing needs it, so that nobody can change it between
 * check and use and a shortened file is an error instead of a SIGBUS.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "gguf_file.h"

#define CHUNK_BYTES	(64u << 10)

/* Encoded sizes below which no such thing can be. */
#define KEY_BYTES_LEAST		(8 + 1 + 4 + 1)		/* length, text, type, value */
#define TENSOR_BYTES_LEAST	(8 + 1 + 4 + 8 + 4 + 8)	/* the same, 1 dimension, offset */
#define STRING_BYTES_LEAST	8
#define ARRAY_BYTES_LEAST	(4 + 8)

/* Where parsing stands. @context is what is being parsed, for messages. */
struct reader {
	struct tandem_gguf *file;
	struct tandem_error *error;
	size_t offset;
	char context[SHOWN_BYTES + 32];
};

static const struct {
	const char *name;
	uint16_t block_elements;
	uint16_t block_bytes;
} tensor_types[] = {
	[0] = { "F32", 1, 4 },
	[1] = { "F16", 1, 2 },
	[2] = { "Q4_0", 32, 18 },
	[3] = { "Q4_1", 32, 20 },
	[6] = { "Q5_0", 32, 22 },
	[7] = { "Q5_1", 32, 24 },
	[8] = { "Q8_0", 32, 34 },
	[9] = { "Q8_1", 32, 36 },
	[10] = { "Q2_K", 256, 84 },
	[11] = { "Q3_K", 256, 110 },
	[12] = { "Q4_K", 256, 144 },
	[13] = { "Q5_K", 256, 176 },
	[14] = { "Q6_K", 256, 210 },
	[15] = { "Q8_K", 256, 292 },
	[16] = { "IQ2_XXS", 256, 66 },
	[17] = { "IQ2_XS", 256, 74 },
	[18] = { "IQ3_XXS", 256, 98 },
	[19] = { "IQ1_S", 256, 50 },
	[20] = { "IQ4_NL", 32, 18 },
	[21] = { "IQ3_S", 256, 110 },
	[22] = { "IQ2_S", 256, 82 },
	[23] = { "IQ4_XS", 256, 136 },
	[24] = { "I8", 1, 1 },
	[25] = { "I16", 1, 2 },
	[26] = { "I32", 1, 4 },
	[27] = { "I64", 1, 8 },
	[28] = { "F64", 1, 8 },
	[29] = { "IQ1_M", 256, 56 },
	[30] = { "BF16", 1, 2 },
	[34] = { "TQ1_0", 256, 54 },
	[35] = { "TQ2_0", 256, 66 },
	[39] = { "MXFP4", 32, 17 },
};

const char *tandem_gguf_type_name(uint32_t type)
{
	if (type >= sizeof(tensor_types) / sizeof(tensor_types[0]))
		return NULL;
	return tensor_types[type].name;
}

static int load_header(struct tandem_gguf *file, size_t end, struct tandem_error *error)
{
	size_t capacity = file->header_capacity ? file->header_capacity : CHUNK_BYTES;
	unsigned char *header;
	int ret;

	if (end <= file->header_bytes)
		return 0;

	/* At most TANDEM_GGUF_HEADER_BYTES_MAX, so this cannot overflow. */
	while (capacity < end)
		capacity *= 2;
	if (capacity > file->size)
		capacity = file->size;
	if (capacity != file->header_capacity) {
		header = realloc(file->header, capacity);
		if (!header)
			return tandem_error_set(error, -ENOMEM, "%s: no memory for its header",
						file->name);
		file->header = header;
		file->header_capacity = capacity;
	}
	ret = tandem_gguf_read_at(file, file->header + file->header_bytes,
				  capacity - file->header_bytes, file->header_bytes, error);
	if (ret)
		return ret;
	file->header_bytes = capacity;
	return 0;
}

static uint64_t bytes_left(const struct reader *reader)
{
	return reader->file->size - reader->offset;
}

/*
 * Step over the next bytes. They are in memory afterwards, at @start of the
 * header (an offset, as the header moves when it grows).
 */
static int take(struct reader *reader, uint64_t bytes, size_t *start)
{
	struct tandem_gguf *file = reader->file;
	int ret;

	if (bytes > bytes_left(reader))
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: the file ends inside %s; it is damaged or incomplete, "
					"fetch it again", file->name, reader->context);
	if (bytes > TANDEM_GGUF_HEADER_BYTES_MAX - reader->offset)
		return tandem_error_set(reader->error, -EFBIG,
					"%s: the header goes beyond the limit of %u MiB in %s",
					file->name, TANDEM_GGUF_HEADER_BYTES_MAX >> 20,
					reader->context);
	ret = load_header(file, reader->offset + bytes, reader->error);
	if (ret)
		return ret;
	*start = reader->offset;
	reader->offset += bytes;
	return 0;
}

static int take_u32(struct reader *reader, uint32_t *value)
{
	size_t start;
	int ret = take(reader, sizeof(*value), &start);

	if (!ret)
		*value = tandem_gguf_load_u32(reader->file->header + start);
	return ret;
}

static int take_u64(struct reader *reader, uint64_t *value)
{
	size_t start;
	int ret = take(reader, sizeof(*value), &start);

	if (!ret)
		*value = tandem_gguf_load_u64(reader->file->header + start);
	return ret;
}

static int take_string(struct reader *reader, size_t *start, uint64_t *length)
{
	int ret = take_u64(reader, length);

	return ret ? ret : take(reader, *length, start);
}

/* Check a number of things to come against the least that each needs. */
static int check_count(struct reader *reader, uint64_t count, size_t bytes_least,
		       const char *things)
{
	if (count > bytes_left(reader) / bytes_least)
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: %s claims %llu %s, more than fit into the file; "
					"it is damaged, fetch it again", reader->file->name,
					reader->context, (unsigned long long)count, things);
	return 0;
}

static int check_bools(struct reader *reader, size_t start, uint64_t count)
{
	uint64_t i;

	for (i = 0; i < count; i++) {
		if (reader->file->header[start + i] > 1)
			return tandem_error_set(reader->error, -EBADMSG,
						"%s: %s has a bool that is %u, not 0 or 1",
						reader->file->name, reader->context,
						reader->file->header[start + i]);
	}
	return 0;
}

static int take_scalars(struct reader *reader, uint32_t type, uint64_t count)
{
	uint64_t bytes;
	size_t start;
	int ret;

	ret = check_count(reader, count, tandem_gguf_scalar_bytes(type), "values");
	if (ret)
		return ret;
	/* No more than the file has bytes: cannot overflow. */
	bytes = count * tandem_gguf_scalar_bytes(type);
	ret = take(reader, bytes, &start);
	if (!ret && type == TANDEM_GGUF_BOOL)
		ret = check_bools(reader, start, count);
	return ret;
}

/* @depth: arrays that the value is in */
static int take_value(struct reader *reader, uint32_t type, unsigned int depth);

static int take_array(struct reader *reader, unsigned int depth)
{
	uint64_t count, i;
	uint32_t type;
	int ret;

	if (depth >= TANDEM_GGUF_ARRAY_DEPTH_MAX)
		return tandem_error_set(reader->error, -EFBIG,
					"%s: %s nests arrays deeper than %u", reader->file->name,
					reader->context, TANDEM_GGUF_ARRAY_DEPTH_MAX);
	ret = take_u32(reader, &type);
	if (ret)
		return ret;
	ret = take_u64(reader, &count);
	if (ret)
		return ret;
	if (tandem_gguf_scalar_bytes(type))
		return take_scalars(reader, type, count);

	/* An unknown type is refused even where there is no element of it. */
	if (type != TANDEM_GGUF_STRING && type != TANDEM_GGUF_ARRAY)
		return take_value(reader, type, depth + 1);
	ret = check_count(reader, count,
			  type == TANDEM_GGUF_STRING ? STRING_BYTES_LEAST : ARRAY_BYTES_LEAST,
			  type == TANDEM_GGUF_STRING ? "strings" : "arrays");
	for (i = 0; !ret && i < count; i++)
		ret = take_value(reader, type, depth + 1);
	return ret;
}

static int take_value(struct reader *reader, uint32_t type, unsigned int depth)
{
	uint64_t length;
	size_t start;

	if (tandem_gguf_scalar_bytes(type))
		return take_scalars(reader, type, 1);
	switch (type) {
	case TANDEM_GGUF_STRING:
		return take_string(reader, &start, &length);
	case TANDEM_GGUF_ARRAY:
		return take_array(reader, depth);
	default:
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: %s has the unknown value type %u; the file is damaged "
					"or newer than this program", reader->file->name,
					reader->context, type);
	}
}

/* Metadata. */

static int take_key(struct reader *reader, uint32_t index, struct tandem_gguf_key *key)
{
	struct tandem_gguf *file = reader->file;
	uint64_t length;
	int ret;

	snprintf(reader->context, sizeof(reader->context), "the name of key %u", index);
	ret = take_string(reader, &key->name_offset, &length);
	if (ret)
		return ret;
	if (!length || length > TANDEM_GGUF_KEY_BYTES_MAX)
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: the name of key %u has %llu bytes; 1 to %u are allowed",
					file->name, index, (unsigned long long)length,
					TANDEM_GGUF_KEY_BYTES_MAX);
	key->name_length = length;
	if (memchr(file->header + key->name_offset, 0, key->name_length))
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: the name of key %u holds a NUL byte", file->name,
					index);

	snprintf(reader->context, sizeof(reader->context), "key '%.*s'", tandem_gguf_shown(length),
		 file->header + key->name_offset);
	ret = take_u32(reader, &key->type);
	if (ret)
		return ret;
	key->value_offset = reader->offset;
	ret = take_value(reader, key->type, 0);
	key->value_bytes = reader->offset - key->value_offset;
	return ret;
}

static int compare_keys(const void *a, const void *b, void *context)
{
	const struct tandem_gguf *file = context;
	const struct tandem_gguf_key *left = a, *right = b;

	return tandem_gguf_compare_names(file->header + left->name_offset, left->name_length,
			     file->header + right->name_offset, right->name_length);
}

static int take_keys(struct reader *reader, uint64_t count)
{
	struct tandem_gguf *file = reader->file;
	uint32_t i;
	int ret;

	ret = check_count(reader, count, KEY_BYTES_LEAST, "keys");
	if (ret)
		return ret;
	if (count > TANDEM_GGUF_KEYS_MAX)
		return tandem_error_set(reader->error, -EFBIG,
					"%s: has %llu keys; at most %u are read", file->name,
					(unsigned long long)count, TANDEM_GGUF_KEYS_MAX);
	file->keys = calloc(count + 1, sizeof(*file->keys));
	if (!file->keys)
		return tandem_error_set(reader->error, -ENOMEM, "%s: no memory for its keys",
					file->name);
	file->key_count = count;
	for (i = 0; i < file->key_count; i++) {
		ret = take_key(reader, i, &file->keys[i]);
		if (ret)
			return ret;
	}

	qsort_r(file->keys, file->key_count, sizeof(*file->keys), compare_keys, file);
	for (i = 1; i < file->key_count; i++) {
		const struct tandem_gguf_key *key = &file->keys[i];

		if (compare_keys(key - 1, key, file) == 0)
			return tandem_error_set(reader->error, -EBADMSG,
						"%s: key '%.*s' is there twice", file->name,
						tandem_gguf_shown(key->name_length),
						file->header + key->name_offset);
	}
	return 0;
}

/* Tensors. */

static int set_tensor_bytes(struct reader *reader, struct tandem_gguf_tensor *tensor)
{
	const char *file_name = reader->file->name;
	uint64_t block_elements, block_bytes;

	if (!tandem_gguf_type_name(tensor->type))
		return tandem_error_set(reader->error, -EOPNOTSUPP,
					"%s: tensor '%s' has the unknown type %u; the file is "
					"damaged or newer than this program", file_name,
					tensor->name, tensor->type);
	block_elements = tensor_types[tensor->type].block_elements;
	block_bytes = tensor_types[tensor->type].block_bytes;
	if (tensor->dimensions[0] % block_elements)
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: tensor '%s' has rows of %llu elements; those of type %s "
					"come in multiples of %llu", file_name, tensor->name,
					(unsigned long long)tensor->dimensions[0],
					tandem_gguf_type_name(tensor->type),
					(unsigned long long)block_elements);
	if (__builtin_mul_overflow(tensor->elements / block_elements, block_bytes,
				   &tensor->bytes))
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: the size of tensor '%s' overflows 64 bits", file_name,
					tensor->name);
	return 0;
}

static int take_dimensions(struct reader *reader, struct tandem_gguf_tensor *tensor)
{
	const char *file_name = reader->file->name;
	uint32_t i;
	int ret;

	ret = take_u32(reader, &tensor->dimension_count);
	if (ret)
		return ret;
	if (!tensor->dimension_count || tensor->dimension_count > TANDEM_GGUF_DIMENSIONS_MAX)
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: tensor '%s' has %u dimensions; 1 to %u are allowed",
					file_name, tensor->name, tensor->dimension_count,
					TANDEM_GGUF_DIMENSIONS_MAX);
	tensor->elements = 1;
	for (i = 0; i < TANDEM_GGUF_DIMENSIONS_MAX; i++)
		tensor->dimensions[i] = 1;
	for (i = 0; i < tensor->dimension_count; i++) {
		ret = take_u64(reader, &tensor->dimensions[i]);
		if (ret)
			return ret;
		if (!tensor->dimensions[i])
			return tandem_error_set(reader->error, -EBADMSG,
						"%s: tensor '%s' is empty: dimension %u is 0",
						file_name, tensor->name, i);
		if (__builtin_mul_overflow(tensor->elements, tensor->dimensions[i],
					   &tensor->elements))
			return tandem_error_set(reader->error, -EBADMSG,
						"%s: the size of tensor '%s' overflows 64 bits",
						file_name, tensor->name);
	}
	return 0;
}

/* Leaves in file_offset what the file says: an offset from the first data. */
static int take_tensor(struct reader *reader, uint32_t index, struct tandem_gguf_tensor *tensor)
{
	struct tandem_gguf *file = reader->file;
	uint64_t length;
	size_t start;
	int ret;

	snprintf(reader->context, sizeof(reader->context), "the name of tensor %u", index);
	ret = take_string(reader, &start, &length);
	if (ret)
		return ret;
	if (!length || length > TANDEM_GGUF_TENSOR_NAME_MAX)
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: the name of tensor %u has %llu bytes; 1 to %u are allowed",
					file->name, index, (unsigned long long)length,
					TANDEM_GGUF_TENSOR_NAME_MAX);
	memcpy(tensor->name, file->header + start, length);
	if (memchr(tensor->name, 0, length))
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: the name of tensor %u holds a NUL byte", file->name,
					index);

	snprintf(reader->context, sizeof(reader->context), "tensor '%s'", tensor->name);
	ret = take_dimensions(reader, tensor);
	if (ret)
		return ret;
	ret = take_u32(reader, &tensor->type);
	if (ret)
		return ret;
	ret = take_u64(reader, &tensor->file_offset);
	if (ret)
		return ret;
	return set_tensor_bytes(reader, tensor);
}

/* Turn the offset of the file's header into one from its start. */
static int place_tensor(struct reader *reader, struct tandem_gguf_tensor *tensor,
			uint64_t data_start, uint32_t alignment)
{
	struct tandem_gguf *file = reader->file;
	uint64_t offset = tensor->file_offset, end;

	if (offset % alignment)
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: tensor '%s' is at offset %llu, which is not aligned to %u",
					file->name, tensor->name, (unsigned long long)offset,
					alignment);
	if (__builtin_add_overflow(data_start, offset, &tensor->file_offset) ||
	    __builtin_add_overflow(tensor->file_offset, tensor->bytes, &end) ||
	    end > file->size)
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: tensor '%s' (%llu bytes at offset %llu) goes beyond the end "
					"of the file; it is damaged or incomplete, fetch it again",
					file->name, tensor->name, (unsigned long long)tensor->bytes,
					(unsigned long long)offset);
	return 0;
}

static int compare_tensor_offsets(const void *a, const void *b, void *context)
{
	const struct tandem_gguf_tensor *tensors = context;
	uint64_t left = tensors[*(const uint32_t *)a].file_offset;
	uint64_t right = tensors[*(const uint32_t *)b].file_offset;

	return (left > right) - (left < right);
}

static int compare_tensor_names(const void *a, const void *b, void *context)
{
	const struct tandem_gguf_tensor *tensors = context;

	return strcmp(tensors[*(const uint32_t *)a].name, tensors[*(const uint32_t *)b].name);
}

/* Fills @by_name, which serves to sort by offset before. */
static int index_tensors(struct reader *reader)
{
	struct tandem_gguf *file = reader->file;
	struct tandem_gguf_tensor *tensors = file->tensors;
	uint32_t i;

	for (i = 0; i < file->tensor_count; i++)
		file->by_name[i] = i;

	qsort_r(file->by_name, file->tensor_count, sizeof(*file->by_name),
		compare_tensor_offsets, tensors);
	for (i = 1; i < file->tensor_count; i++) {
		const struct tandem_gguf_tensor *before = &tensors[file->by_name[i - 1]];
		const struct tandem_gguf_tensor *after = &tensors[file->by_name[i]];

		if (before->file_offset + before->bytes > after->file_offset)
			return tandem_error_set(reader->error, -EBADMSG,
						"%s: tensors '%s' and '%s' overlap", file->name,
						before->name, after->name);
	}

	qsort_r(file->by_name, file->tensor_count, sizeof(*file->by_name),
		compare_tensor_names, tensors);
	for (i = 1; i < file->tensor_count; i++) {
		if (compare_tensor_names(&file->by_name[i - 1], &file->by_name[i], tensors) == 0)
			return tandem_error_set(reader->error, -EBADMSG,
						"%s: tensor '%s' is there twice", file->name,
						tensors[file->by_name[i]].name);
	}
	return 0;
}

static int take_tensors(struct reader *reader, uint64_t count)
{
	struct tandem_gguf *file = reader->file;
	uint32_t i;
	int ret;

	ret = check_count(reader, count, TENSOR_BYTES_LEAST, "tensors");
	if (ret)
		return ret;
	if (count > TANDEM_GGUF_TENSORS_MAX)
		return tandem_error_set(reader->error, -EFBIG,
					"%s: has %llu tensors; at most %u are read", file->name,
					(unsigned long long)count, TANDEM_GGUF_TENSORS_MAX);
	file->tensors = calloc(count + 1, sizeof(*file->tensors));
	file->by_name = calloc(count + 1, sizeof(*file->by_name));
	if (!file->tensors || !file->by_name)
		return tandem_error_set(reader->error, -ENOMEM, "%s: no memory for its tensors",
					file->name);
	file->tensor_count = count;
	for (i = 0; i < file->tensor_count; i++) {
		ret = take_tensor(reader, i, &file->tensors[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static int place_tensors(struct reader *reader)
{
	struct tandem_gguf *file = reader->file;
	uint32_t alignment, i;
	uint64_t data_start;
	int ret;

	ret = tandem_gguf_u32_or(file, "general.alignment", TANDEM_GGUF_ALIGNMENT_DEFAULT,
				 &alignment, reader->error);
	/* To whoever opens the file it is malformed, not a wrong argument. */
	if (ret) {
		if (reader->error)
			reader->error->code = -EBADMSG;
		return -EBADMSG;
	}
	if (alignment < 8 || (alignment & (alignment - 1)))
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: key 'general.alignment' is %u, not a power of two from "
					"8 on", file->name, alignment);

	/* Header limit plus alignment: far from overflowing. */
	data_start = ((uint64_t)reader->offset + alignment - 1) & ~((uint64_t)alignment - 1);
	for (i = 0; i < file->tensor_count; i++) {
		ret = place_tensor(reader, &file->tensors[i], data_start, alignment);
		if (ret)
			return ret;
	}
	return index_tensors(reader);
}

static int take_version(struct reader *reader)
{
	const char *name = reader->file->name;
	size_t start;
	uint32_t version;
	int ret;

	snprintf(reader->context, sizeof(reader->context), "the magic number");
	ret = take(reader, 4, &start);
	if (ret)
		return ret;
	if (memcmp(reader->file->header + start, "GGUF", 4))
		return tandem_error_set(reader->error, -EBADMSG,
					"%s: is not a GGUF file; convert the model to GGUF", name);
	snprintf(reader->context, sizeof(reader->context), "the header");
	ret = take_u32(reader, &version);
	if (ret)
		return ret;
	if (version == 2 || version == 3)
		return 0;
	/* Versions are small numbers: one with only high bytes is swapped. */
	if (version && !(version & 0xffff))
		return tandem_error_set(reader->error, -EOPNOTSUPP,
					"%s: is a big-endian GGUF file; convert it to little-endian",
					name);
	return tandem_error_set(reader->error, -EOPNOTSUPP,
				"%s: is of GGUF version %u; versions 2 and 3 are read, "
				"convert the model again", name, version);
}

int tandem_gguf_parse(struct tandem_gguf *file, struct tandem_error *error)
{
	struct reader reader = { .file = file, .error = error };
	uint64_t tensor_count, key_count;
	int ret;

	ret = take_version(&reader);
	if (ret)
		return ret;
	ret = take_u64(&reader, &tensor_count);
	if (ret)
		return ret;
	ret = take_u64(&reader, &key_count);
	if (ret)
		return ret;
	/* Both before either, so that the message is on what is really wrong. */
	ret = check_count(&reader, tensor_count, TENSOR_BYTES_LEAST, "tensors");
	if (ret)
		return ret;
	ret = take_keys(&reader, key_count);
	if (ret)
		return ret;
	snprintf(reader.context, sizeof(reader.context), "the header");
	ret = take_tensors(&reader, tensor_count);
	if (ret)
		return ret;
	return place_tensors(&reader);
}

