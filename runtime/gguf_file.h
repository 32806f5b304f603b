/* SPDX-License-Identifier: MIT */
/*
 * An open GGUF file, as gguf.c, gguf_parse.c and gguf_value.c see it. For those
 * three only.
 */
#ifndef TANDEM_RUNTIME_GGUF_FILE_H
#define TANDEM_RUNTIME_GGUF_FILE_H

#include <endian.h>
#include <string.h>

#include "gguf.h"

/* Names from files are shown in messages up to so many bytes. */
#define SHOWN_BYTES	64

/* How many bytes of a name to show, as printf() wants it for "%.*s". */
static inline int tandem_gguf_shown(size_t length)
{
	return (int)(length < SHOWN_BYTES ? length : SHOWN_BYTES);
}

/**
 * struct tandem_gguf_key - a metadata key
 * @name_offset: of its name in the header
 * @name_length: bytes of its name
 * @type: &enum tandem_gguf_value_type
 * @value_offset: of its encoded value in the header
 * @value_bytes: of its encoded value
 */
struct tandem_gguf_key {
	size_t name_offset;
	size_t name_length;
	uint32_t type;
	size_t value_offset;
	size_t value_bytes;
};

/**
 * struct tandem_gguf - an open file
 * @name: for messages
 * @fd: open for reading
 * @size: bytes, when it was opened
 * @map: all of it, or MAP_FAILED
 * @header: copy of what precedes the tensor data
 * @header_bytes: how much of @header is filled
 * @header_capacity: how much of @header is allocated
 * @keys: sorted by name
 * @key_count: entries of @keys
 * @tensors: in the order of the file
 * @tensor_count: entries of @tensors and of @by_name
 * @by_name: indices of @tensors, sorted by name
 *
 * Nothing of it changes once it is open, so that threads may share it.
 */
struct tandem_gguf {
	char name[80];
	int fd;
	uint64_t size;
	void *map;
	unsigned char *header;
	size_t header_bytes;
	size_t header_capacity;
	struct tandem_gguf_key *keys;
	uint32_t key_count;
	struct tandem_gguf_tensor *tensors;
	uint32_t tensor_count;
	uint32_t *by_name;
};

/**
 * tandem_gguf_parse() - read and check the header
 * @file: @name, @fd and @size are set
 * @error: filled in on failure; may be NULL
 *
 * Return: 0, or as tandem_gguf_open(); what has been allocated stays in @file.
 */
int tandem_gguf_parse(struct tandem_gguf *file, struct tandem_error *error);

/**
 * tandem_gguf_read_at() - read a range of the file, all of it
 * @file: the file
 * @buffer: where to put it
 * @size: bytes
 * @offset: from the start of the file
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EBADMSG the file is shorter by now; or what pread() says.
 */
int tandem_gguf_read_at(const struct tandem_gguf *file, void *buffer, size_t size,
			uint64_t offset, struct tandem_error *error);

/**
 * tandem_gguf_scalar_bytes() - encoded size of a value
 * @type: &enum tandem_gguf_value_type, or any number
 *
 * Return: the size; 0 for strings, arrays and unknown types.
 */
size_t tandem_gguf_scalar_bytes(uint32_t type);

/**
 * tandem_gguf_compare_names() - order of two names
 * @a: a name
 * @a_length: its bytes
 * @b: another
 * @b_length: its bytes
 *
 * Return: as memcmp(); a beginning of a name comes before the name.
 */
static inline int tandem_gguf_compare_names(const void *a, size_t a_length,
					    const void *b, size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	return order ? order : (a_length > b_length) - (a_length < b_length);
}

static inline uint16_t tandem_gguf_load_u16(const unsigned char *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return le16toh(value);
}

static inline uint32_t tandem_gguf_load_u32(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static inline uint64_t tandem_gguf_load_u64(const unsigned char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

#endif /* TANDEM_RUNTIME_GGUF_FILE_H */
