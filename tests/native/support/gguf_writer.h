/* SPDX-License-Identifier: MIT */
/*
 * Writing GGUF files for tests, right ones and wrong ones.
 *
 * Order of calls: begin, keys, tensors, then data. What is written is checked by
 * nobody; ends the test where memory runs out.
 */
#ifndef TANDEM_TESTS_GGUF_WRITER_H
#define TANDEM_TESTS_GGUF_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct gguf_writer - a file in memory
 * @bytes: its contents so far, free to be changed
 * @size: of @bytes
 * @capacity: allocated
 */
struct gguf_writer {
	unsigned char *bytes;
	size_t size;
	size_t capacity;
};

/* Where the fields of the file's header are. */
#define GGUF_WRITER_VERSION	4
#define GGUF_WRITER_TENSORS	8
#define GGUF_WRITER_KEYS	16

/* Start with a header of version 3 without keys and tensors. */
void gguf_writer_begin(struct gguf_writer *writer);
void gguf_writer_end(struct gguf_writer *writer);

/* Append, little-endian; a string has its length in front. */
void gguf_writer_put(struct gguf_writer *writer, const void *bytes, size_t size);
void gguf_writer_u8(struct gguf_writer *writer, uint8_t value);
void gguf_writer_u16(struct gguf_writer *writer, uint16_t value);
void gguf_writer_u32(struct gguf_writer *writer, uint32_t value);
void gguf_writer_u64(struct gguf_writer *writer, uint64_t value);
void gguf_writer_f32(struct gguf_writer *writer, float value);
void gguf_writer_f64(struct gguf_writer *writer, double value);
void gguf_writer_string(struct gguf_writer *writer, const char *text);

/* Overwrite what is at an offset. */
void gguf_writer_set_u32(struct gguf_writer *writer, size_t offset, uint32_t value);
void gguf_writer_set_u64(struct gguf_writer *writer, size_t offset, uint64_t value);

/* Begin a key of a type and count it; the value is to be appended. */
void gguf_writer_key(struct gguf_writer *writer, const char *name, uint32_t type);

/* The same for an array; the elements are to be appended. */
void gguf_writer_key_array(struct gguf_writer *writer, const char *name, uint32_t type,
			   uint64_t count);

/* Whole keys. */
void gguf_writer_key_u32(struct gguf_writer *writer, const char *name, uint32_t value);
void gguf_writer_key_f32(struct gguf_writer *writer, const char *name, float value);
void gguf_writer_key_bool(struct gguf_writer *writer, const char *name, bool value);
void gguf_writer_key_string(struct gguf_writer *writer, const char *name, const char *value);

/**
 * gguf_writer_tensor() - describe a tensor and count it
 * @writer: the file
 * @name: its name
 * @dimension_count: entries of @dimensions
 * @dimensions: the fastest varying one first
 * @type: number of the element type
 * @offset: from the start of the tensor data
 */
void gguf_writer_tensor(struct gguf_writer *writer, const char *name, uint32_t dimension_count,
			const uint64_t *dimensions, uint32_t type, uint64_t offset);

/* Append zeros up to a multiple of @alignment. */
void gguf_writer_align(struct gguf_writer *writer, size_t alignment);

/* Write the file, in place of one that is there. Returns 0 or a negative errno. */
int gguf_writer_save(const struct gguf_writer *writer, const char *path);

#endif /* TANDEM_TESTS_GGUF_WRITER_H */
