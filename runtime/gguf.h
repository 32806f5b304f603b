/* SPDX-License-Identifier: MIT */
/*
 * GGUF files: key/value metadata and tensors.
 *
 * A file is hostile until proven otherwise. All of its header is copied in
 * once, and each count, length, offset and product of it is checked before use,
 * when the file is opened; what the functions below hand out is inside the
 * copy or inside the file.
 *
 * Messages of errors name the file. Numbers are little-endian; versions 2 and
 * 3 of the format are read. Format:
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
#ifndef TANDEM_RUNTIME_GGUF_H
#define TANDEM_RUNTIME_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct tandem_gguf;

/* Limits, well beyond the models there are. */
#define TANDEM_GGUF_HEADER_BYTES_MAX	(256u << 20)
#define TANDEM_GGUF_KEYS_MAX		65536
#define TANDEM_GGUF_TENSORS_MAX		65536
#define TANDEM_GGUF_KEY_BYTES_MAX	65535
#define TANDEM_GGUF_TENSOR_NAME_MAX	64
#define TANDEM_GGUF_DIMENSIONS_MAX	4
#define TANDEM_GGUF_ARRAY_DEPTH_MAX	4

/* Alignment of tensor data where general.alignment does not say. */
#define TANDEM_GGUF_ALIGNMENT_DEFAULT	32

/* Types of metadata values; the numbers are those in files. */
enum tandem_gguf_value_type {
	TANDEM_GGUF_UINT8 = 0,
	TANDEM_GGUF_INT8 = 1,
	TANDEM_GGUF_UINT16 = 2,
	TANDEM_GGUF_INT16 = 3,
	TANDEM_GGUF_UINT32 = 4,
	TANDEM_GGUF_INT32 = 5,
	TANDEM_GGUF_FLOAT32 = 6,
	TANDEM_GGUF_BOOL = 7,
	TANDEM_GGUF_STRING = 8,
	TANDEM_GGUF_ARRAY = 9,
	TANDEM_GGUF_UINT64 = 10,
	TANDEM_GGUF_INT64 = 11,
	TANDEM_GGUF_FLOAT64 = 12,
};

/**
 * struct tandem_gguf_string - a string of the file
 * @data: its bytes, valid until the file is closed; not terminated, may hold
 *	any byte, NUL included
 * @length: bytes
 */
struct tandem_gguf_string {
	const char *data;
	size_t length;
};

/**
 * struct tandem_gguf_array - an array of the file
 * @type: &enum tandem_gguf_value_type of the elements
 * @count: elements
 * @elements: encoded; for the accessors below only
 * @bytes: of @elements
 */
struct tandem_gguf_array {
	uint32_t type;
	uint64_t count;
	const unsigned char *elements;
	size_t bytes;
};

/**
 * struct tandem_gguf_tensor - a tensor of the file
 * @name: at most TANDEM_GGUF_TENSOR_NAME_MAX bytes, terminated
 * @type: number of the element type in the file (ggml_type), one that
 *	tandem_gguf_type_name() knows; kernels may know fewer
 * @dimension_count: 1 to TANDEM_GGUF_DIMENSIONS_MAX
 * @dimensions: elements, the fastest varying dimension first (that is, [columns,
 *	rows] of a matrix); at least 1, and 1 beyond @dimension_count
 * @elements: product of @dimensions
 * @bytes: of its data; never 0
 * @file_offset: where its data starts, from the start of the file
 * @data: the data, mapped read-only, aligned as the file says (8 bytes or
 *	more). Touching it raises SIGBUS if somebody has shortened the file since
 *	it was opened, or if the disk fails: prefer tandem_gguf_read().
 *
 * Owned by the file, and constant until it is closed.
 */
struct tandem_gguf_tensor {
	char name[TANDEM_GGUF_TENSOR_NAME_MAX + 1];
	uint32_t type;
	uint32_t dimension_count;
	uint64_t dimensions[TANDEM_GGUF_DIMENSIONS_MAX];
	uint64_t elements;
	uint64_t bytes;
	uint64_t file_offset;
	const void *data;
};

/**
 * tandem_gguf_open() - open a file and check its header
 * @path: its name
 * @file: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EBADMSG not GGUF, cut short, or contradicting itself;
 * -EOPNOTSUPP a version, byte order or tensor type that is not read; -EFBIG
 * beyond a limit above; -EINVAL not a regular file; -ENOMEM; or what open(),
 * pread() and mmap() say, such as -ENOENT and -EACCES.
 */
int tandem_gguf_open(const char *path, struct tandem_gguf **file, struct tandem_error *error);

/**
 * tandem_gguf_close() - close a file
 * @file: may be NULL
 */
void tandem_gguf_close(struct tandem_gguf *file);

/**
 * tandem_gguf_name() - the file's name for messages
 * @file: the file
 *
 * Return: its path; of a long one, the end.
 */
const char *tandem_gguf_name(const struct tandem_gguf *file);

/**
 * tandem_gguf_has() - whether a metadata key is there
 * @file: the file
 * @key: the key
 */
bool tandem_gguf_has(const struct tandem_gguf *file, const char *key);

/**
 * tandem_gguf_key_count() - how many metadata keys there are
 * @file: the file
 */
uint32_t tandem_gguf_key_count(const struct tandem_gguf *file);

/**
 * tandem_gguf_key_at() - name of a metadata key
 * @file: the file
 * @index: less than tandem_gguf_key_count()
 */
struct tandem_gguf_string tandem_gguf_key_at(const struct tandem_gguf *file, uint32_t index);

/**
 * tandem_gguf_u32() - a metadata value as an integer
 * @file: the file
 * @key: its key
 * @value: where to put it; left alone on failure
 * @error: filled in on failure; may be NULL
 *
 * Any integer type of the file will do as long as the value fits.
 *
 * Return: 0; -ENOENT no such key; -EINVAL not an integer or out of range.
 */
int tandem_gguf_u32(const struct tandem_gguf *file, const char *key, uint32_t *value,
		    struct tandem_error *error);

/* The same for 64 bits. */
int tandem_gguf_u64(const struct tandem_gguf *file, const char *key, uint64_t *value,
		    struct tandem_error *error);

/**
 * tandem_gguf_f32() - a metadata value as a floating-point number
 * @file: the file
 * @key: its key
 * @value: where to put it; left alone on failure
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -ENOENT no such key; -EINVAL not a floating-point number, or one
 * that is not finite as a binary32.
 */
int tandem_gguf_f32(const struct tandem_gguf *file, const char *key, float *value,
		    struct tandem_error *error);

/**
 * tandem_gguf_bool() - a metadata value as a truth value
 * @file: the file
 * @key: its key
 * @value: where to put it; left alone on failure
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -ENOENT no such key; -EINVAL not a bool.
 */
int tandem_gguf_bool(const struct tandem_gguf *file, const char *key, bool *value,
		     struct tandem_error *error);

/**
 * tandem_gguf_string() - a metadata value as a string
 * @file: the file
 * @key: its key
 * @value: where to put it; left alone on failure
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -ENOENT no such key; -EINVAL not a string.
 */
int tandem_gguf_string(const struct tandem_gguf *file, const char *key,
		       struct tandem_gguf_string *value, struct tandem_error *error);

/**
 * tandem_gguf_array() - a metadata value as an array
 * @file: the file
 * @key: its key
 * @value: where to put it; left alone on failure
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -ENOENT no such key; -EINVAL not an array.
 */
int tandem_gguf_array(const struct tandem_gguf *file, const char *key,
		      struct tandem_gguf_array *value, struct tandem_error *error);

/*
 * The same for keys that may be absent: then *value is the fallback. A key that
 * is there and wrong is still an error.
 */
int tandem_gguf_u32_or(const struct tandem_gguf *file, const char *key, uint32_t fallback,
		       uint32_t *value, struct tandem_error *error);
int tandem_gguf_u64_or(const struct tandem_gguf *file, const char *key, uint64_t fallback,
		       uint64_t *value, struct tandem_error *error);
int tandem_gguf_f32_or(const struct tandem_gguf *file, const char *key, float fallback,
		       float *value, struct tandem_error *error);
int tandem_gguf_bool_or(const struct tandem_gguf *file, const char *key, bool fallback,
			bool *value, struct tandem_error *error);

/**
 * tandem_gguf_string_is() - compare a string of the file
 * @string: the string
 * @text: what it may be
 */
bool tandem_gguf_string_is(struct tandem_gguf_string string, const char *text);

/**
 * tandem_gguf_array_i64() - an element of an array of integers
 * @array: an array
 * @index: less than its count
 * @value: where to put it
 *
 * Return: 0; -EINVAL the elements are not integers or the value does not fit;
 * -ERANGE no such element.
 */
int tandem_gguf_array_i64(const struct tandem_gguf_array *array, uint64_t index, int64_t *value);

/**
 * tandem_gguf_array_f32() - an element of an array of floating-point numbers
 * @array: an array
 * @index: less than its count
 * @value: where to put it; may be infinite or not a number
 *
 * Return: 0; -EINVAL the elements are not floating-point numbers; -ERANGE no
 * such element.
 */
int tandem_gguf_array_f32(const struct tandem_gguf_array *array, uint64_t index, float *value);

/**
 * tandem_gguf_array_next_string() - walk through an array of strings
 * @array: an array
 * @position: of the walk; 0 to begin with, then only handed on
 * @value: the next string
 *
 * Strings have different lengths, so there is no access by index.
 *
 * Return: whether there was one; false also if the elements are not strings.
 */
bool tandem_gguf_array_next_string(const struct tandem_gguf_array *array, size_t *position,
				   struct tandem_gguf_string *value);

/**
 * tandem_gguf_tensor() - find a tensor
 * @file: the file
 * @name: its name
 *
 * Return: the tensor, or NULL if there is none of that name.
 */
const struct tandem_gguf_tensor *tandem_gguf_tensor(const struct tandem_gguf *file,
						    const char *name);

/**
 * tandem_gguf_tensor_count() - how many tensors there are
 * @file: the file
 */
uint32_t tandem_gguf_tensor_count(const struct tandem_gguf *file);

/**
 * tandem_gguf_tensor_at() - a tensor by its place in the file
 * @file: the file
 * @index: less than tandem_gguf_tensor_count()
 */
const struct tandem_gguf_tensor *tandem_gguf_tensor_at(const struct tandem_gguf *file,
						       uint32_t index);

/**
 * tandem_gguf_read() - read data of a tensor
 * @file: the file
 * @tensor: a tensor of @file
 * @offset: bytes into its data
 * @buffer: where to put them; may be mapped device memory
 * @size: bytes to read; @offset + @size is at most the tensor's bytes
 * @error: filled in on failure; may be NULL
 *
 * Unlike @data of the tensor, survives a file that has been shortened.
 *
 * Return: 0; -EINVAL out of the tensor; -EBADMSG the file is shorter than when
 * it was opened; or what pread() says.
 */
int tandem_gguf_read(const struct tandem_gguf *file, const struct tandem_gguf_tensor *tensor,
		     uint64_t offset, void *buffer, size_t size, struct tandem_error *error);

/**
 * tandem_gguf_type_name() - name of a tensor's element type
 * @type: number of the type
 *
 * Return: such as "Q4_K", or NULL if the type is unknown.
 */
const char *tandem_gguf_type_name(uint32_t type);

#endif /* TANDEM_RUNTIME_GGUF_H */
