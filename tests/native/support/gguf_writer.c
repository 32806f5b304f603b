// SPDX-License-Identifier: MIT
/*
 * Writing GGUF files for tests, right ones and wrong ones.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gguf_writer.h"

#define TYPE_UINT32	4
#define TYPE_FLOAT32	6
#define TYPE_BOOL	7
#define TYPE_STRING	8
#define TYPE_ARRAY	9

void gguf_writer_begin(struct gguf_writer *writer)
{
	memset(writer, 0, sizeof(*writer));
	gguf_writer_put(writer, "GGUF", 4);
	gguf_writer_u32(writer, 3);
	gguf_writer_u64(writer, 0);
	gguf_writer_u64(writer, 0);
}

void gguf_writer_end(struct gguf_writer *writer)
{
	free(writer->bytes);
	memset(writer, 0, sizeof(*writer));
}

void gguf_writer_put(struct gguf_writer *writer, const void *bytes, size_t size)
{
	if (size > writer->capacity - writer->size) {
		writer->capacity = (writer->size + size) * 2;
		writer->bytes = realloc(writer->bytes, writer->capacity);
		if (!writer->bytes)
			abort();
	}
	if (size)
		memcpy(writer->bytes + writer->size, bytes, size);
	writer->size += size;
}

void gguf_writer_u8(struct gguf_writer *writer, uint8_t value)
{
	gguf_writer_put(writer, &value, sizeof(value));
}

void gguf_writer_u16(struct gguf_writer *writer, uint16_t value)
{
	value = htole16(value);
	gguf_writer_put(writer, &value, sizeof(value));
}

void gguf_writer_u32(struct gguf_writer *writer, uint32_t value)
{
	value = htole32(value);
	gguf_writer_put(writer, &value, sizeof(value));
}

void gguf_writer_u64(struct gguf_writer *writer, uint64_t value)
{
	value = htole64(value);
	gguf_writer_put(writer, &value, sizeof(value));
}

void gguf_writer_f32(struct gguf_writer *writer, float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	gguf_writer_u32(writer, bits);
}

void gguf_writer_f64(struct gguf_writer *writer, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	gguf_writer_u64(writer, bits);
}

void gguf_writer_string(struct gguf_writer *writer, const char *text)
{
	gguf_writer_u64(writer, strlen(text));
	gguf_writer_put(writer, text, strlen(text));
}

void gguf_writer_set_u32(struct gguf_writer *writer, size_t offset, uint32_t value)
{
	value = htole32(value);
	memcpy(writer->bytes + offset, &value, sizeof(value));
}

void gguf_writer_set_u64(struct gguf_writer *writer, size_t offset, uint64_t value)
{
	value = htole64(value);
	memcpy(writer->bytes + offset, &value, sizeof(value));
}

static void count_one(struct gguf_writer *writer, size_t offset)
{
	uint64_t count;

	memcpy(&count, writer->bytes + offset, sizeof(count));
	gguf_writer_set_u64(writer, offset, le64toh(count) + 1);
}

void gguf_writer_key(struct gguf_writer *writer, const char *name, uint32_t type)
{
	count_one(writer, GGUF_WRITER_KEYS);
	gguf_writer_string(writer, name);
	gguf_writer_u32(writer, type);
}

void gguf_writer_key_array(struct gguf_writer *writer, const char *name, uint32_t type,
			   uint64_t count)
{
	gguf_writer_key(writer, name, TYPE_ARRAY);
	gguf_writer_u32(writer, type);
	gguf_writer_u64(writer, count);
}

void gguf_writer_key_u32(struct gguf_writer *writer, const char *name, uint32_t value)
{
	gguf_writer_key(writer, name, TYPE_UINT32);
	gguf_writer_u32(writer, value);
}

void gguf_writer_key_f32(struct gguf_writer *writer, const char *name, float value)
{
	gguf_writer_key(writer, name, TYPE_FLOAT32);
	gguf_writer_f32(writer, value);
}

void gguf_writer_key_bool(struct gguf_writer *writer, const char *name, bool value)
{
	gguf_writer_key(writer, name, TYPE_BOOL);
	gguf_writer_u8(writer, value);
}

void gguf_writer_key_string(struct gguf_writer *writer, const char *name, const char *value)
{
	gguf_writer_key(writer, name, TYPE_STRING);
	gguf_writer_string(writer, value);
}

void gguf_writer_tensor(struct gguf_writer *writer, const char *name, uint32_t dimension_count,
			const uint64_t *dimensions, uint32_t type, uint64_t offset)
{
	uint32_t i;

	count_one(writer, GGUF_WRITER_TENSORS);
	gguf_writer_string(writer, name);
	gguf_writer_u32(writer, dimension_count);
	for (i = 0; i < dimension_count; i++)
		gguf_writer_u64(writer, dimensions[i]);
	gguf_writer_u32(writer, type);
	gguf_writer_u64(writer, offset);
}

void gguf_writer_align(struct gguf_writer *writer, size_t alignment)
{
	while (writer->size % alignment)
		gguf_writer_u8(writer, 0);
}

int gguf_writer_save(const struct gguf_writer *writer, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t done = 0;
	int ret = 0;

	if (fd < 0)
		return -errno;
	while (done < writer->size) {
		ssize_t count = write(fd, writer->bytes + done, writer->size - done);

		if (count < 0) {
			ret = -errno;
			break;
		}
		done += count;
	}
	close(fd);
	return ret;
}
