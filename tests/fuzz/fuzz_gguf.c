// SPDX-License-Identifier: MIT
/*
 * libFuzzer entry for model files and their tokenizers. Nothing builds it by
 * default:
 *
 *	clang -g -O1 -std=gnu11 -D_GNU_SOURCE= -fsanitize=fuzzer,address,undefined \
 *		-I. -Iruntime/include tests/fuzz/fuzz_gguf.c runtime/error.c \
 *		runtime/gguf.c runtime/gguf_parse.c runtime/gguf_value.c \
 *		runtime/tokenizer.c runtime/tokenizer_encode.c -o /tmp/fuzz_gguf
 *	/tmp/fuzz_gguf -max_len=8192 corpus/
 *
 * where corpus/ holds small GGUF files to begin with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/gguf.h"
#include "runtime/tokenizer.h"

static void use_tensors(const struct tandem_gguf *file, size_t size)
{
	uint32_t i;

	for (i = 0; i < tandem_gguf_tensor_count(file); i++) {
		const struct tandem_gguf_tensor *tensor = tandem_gguf_tensor_at(file, i);
		unsigned char byte;

		if (tensor->bytes > size || tensor->file_offset > size - tensor->bytes)
			abort();
		if (tandem_gguf_tensor(file, tensor->name) != tensor)
			abort();
		if (tandem_gguf_read(file, tensor, tensor->bytes - 1, &byte, 1, NULL))
			abort();
		if (byte != ((const unsigned char *)tensor->data)[tensor->bytes - 1])
			abort();
	}
}

static void use_tokenizer(const struct tandem_gguf *file)
{
	static const char text[] = "Once upon a time \xc3\xa9\xff <s>";
	struct tandem_tokenizer *tokenizer;
	uint32_t ids[128], previous = TANDEM_TOKEN_NONE;
	size_t room;
	ssize_t count, i;
	char *piece;

	if (tandem_tokenizer_create(file, &tokenizer, NULL))
		return;
	count = tandem_tokenizer_encode(tokenizer, text, sizeof(text),
					tandem_tokenizer_add_bos(tokenizer), ids, 128);
	if (count < 0 || count > 128)
		abort();
	room = tandem_tokenizer_piece_max(tokenizer);
	piece = malloc(room);
	for (i = 0; piece && i < count; i++) {
		ssize_t bytes = tandem_tokenizer_decode(tokenizer, ids[i], previous, piece, room);

		if (bytes < 0 || (size_t)bytes > room)
			abort();
		previous = ids[i];
	}
	free(piece);
	tandem_tokenizer_destroy(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct tandem_error error;
	struct tandem_gguf *file;
	char path[32];

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (tandem_gguf_open(path, &file, &error))
		return 0;
	use_tensors(file, size);
	use_tokenizer(file);
	tandem_gguf_close(file);
	return 0;
}
