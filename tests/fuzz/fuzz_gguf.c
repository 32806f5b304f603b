// SPDX-License-Identifier: MIT
/*
 * libFuzzer entry for model files: the reader of GGUF, and tokenizers made of
 * what is in files. The input is a file.
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

/* All bytes of all tokens, spelled out and not. */
static void use_tokens(const struct tandem_tokenizer *tokenizer)
{
	const size_t room = tandem_tokenizer_piece_max(tokenizer);
	char *piece = malloc(room);
	uint32_t id;

	for (id = 0; piece && id < tandem_tokenizer_size(tokenizer); id++) {
		const ssize_t text = tandem_tokenizer_decode(tokenizer, id, TANDEM_TOKEN_NONE,
							     piece, room);
		const ssize_t spelled = tandem_tokenizer_piece(tokenizer, id, piece, room);

		if (text < 0 || (size_t)text > room || spelled < 0 || (size_t)spelled > room)
			abort();
	}
	free(piece);
}

static void use_tokenizer(const struct tandem_gguf *file)
{
	static const char text[] = "Once upon a time \xc3\xa9\xff <s> 1234 <|im_start|>\r\n it's";
	unsigned int flags = TANDEM_ENCODE_SPECIAL;
	struct tandem_tokenizer *tokenizer;
	uint32_t ids[3 * sizeof(text) + 4];
	ssize_t count, i;

	if (tandem_tokenizer_create(file, &tokenizer, NULL))
		return;
	if (tandem_tokenizer_add_bos(tokenizer))
		flags |= TANDEM_ENCODE_BOS;
	if (tandem_tokenizer_add_eos(tokenizer))
		flags |= TANDEM_ENCODE_EOS;
	count = tandem_tokenizer_encode(tokenizer, text, sizeof(text), flags, ids,
					sizeof(ids) / sizeof(ids[0]));
	if (count < 0)
		abort();
	for (i = 0; i < count; i++) {
		if (ids[i] >= tandem_tokenizer_size(tokenizer))
			abort();
	}
	use_tokens(tokenizer);
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
