// SPDX-License-Identifier: MIT
/*
 * libFuzzer entry for text: what is encoded must come back, whatever it is. The
 * input's first byte chooses the vocabulary and its pre-tokenizer, the second
 * flags; the rest is the text. Vocabularies are those of the tests' vectors,
 * found from the top of the tree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/native/support/gguf_writer.h"
#include "runtime/tokenizer.h"

#define VECTORS		"tests/native/tokenizer/vectors/"
#define MODEL		"/tmp/fuzz_tokenizer.XXXXXX"

static const struct {
	const char *model;
	const char *pretokenizer;
} kinds[] = {
	{ VECTORS "bytes.gguf", "default" },
	{ VECTORS "bytes.gguf", "gpt-2" },
	{ VECTORS "bytes.gguf", "smollm" },
	{ VECTORS "bytes.gguf", "falcon" },
	{ VECTORS "bytes.gguf", "llama-bpe" },
	{ VECTORS "bytes.gguf", "qwen2" },
	{ VECTORS "bytes.gguf", "deepseek-llm" },
	{ VECTORS "bytes.gguf", "deepseek-coder" },
	{ VECTORS "bytes.gguf", "deepseek-v3" },
	{ VECTORS "bytes.gguf", "tekken" },
	{ VECTORS "bytes.gguf", "gpt-4o" },
	{ VECTORS "pieces.gguf", NULL },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct tandem_tokenizer *load(const char *model, const char *pretokenizer)
{
	struct tandem_tokenizer *tokenizer;
	struct tandem_error error;
	struct gguf_writer writer = { 0 };
	char chunk[4096], path[] = MODEL;
	FILE *file = fopen(model, "rb");
	size_t bytes;
	int fd = mkstemp(path);

	if (!file || fd < 0) {
		fprintf(stderr, "%s: cannot read; run this from the top of the tree\n", model);
		exit(1);
	}
	while ((bytes = fread(chunk, 1, sizeof(chunk), file)))
		gguf_writer_put(&writer, chunk, bytes);
	fclose(file);
	if (pretokenizer)
		gguf_writer_key_string(&writer, "tokenizer.ggml.pre", pretokenizer);
	if (gguf_writer_save(&writer, path))
		abort();
	gguf_writer_end(&writer);
	if (tandem_tokenizer_load(path, &tokenizer, &error)) {
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
	remove(path);
	return tokenizer;
}

static bool is_special(const struct tandem_tokenizer *tokenizer, uint32_t id)
{
	return tandem_tokenizer_decode(tokenizer, id, 0, NULL, 0) == 0;
}

/* U+2581 comes back as a space, so both are taken for the same. */
static size_t unmark(char *text, size_t length)
{
	size_t at, used = 0;

	for (at = 0; at < length; used++) {
		if (length - at >= 3 && !memcmp(text + at, "\xe2\x96\x81", 3)) {
			text[used] = ' ';
			at += 3;
		} else {
			text[used] = text[at++];
		}
	}
	return used;
}

/* What a stream makes of tokens; each but the last output ends with a character. */
static size_t decode(const struct tandem_tokenizer *tokenizer, const uint32_t *ids, size_t count,
		     char *text, size_t room)
{
	struct tandem_text_stream stream;
	size_t used = 0, i;
	ssize_t bytes;

	tandem_text_stream_begin(&stream);
	for (i = 0; i < count; i++) {
		bytes = tandem_text_stream_put(&stream, tokenizer, ids[i], text + used,
					       room - used);
		if (bytes < 0)
			abort();
		used += (size_t)bytes;
	}
	bytes = tandem_text_stream_end(&stream, text + used, room - used);
	if (bytes < 0)
		abort();
	return used + (size_t)bytes;
}

static void round_trip(const struct tandem_tokenizer *tokenizer, bool sentencepiece,
		       const char *text, size_t length, unsigned int flags)
{
	const size_t id_room = 3 * length + 4, room = 4 * length + 64;
	uint32_t *ids = malloc(id_room * sizeof(*ids));
	char *back = malloc(room), *copy = malloc(length + 1);
	ssize_t count, i;
	size_t bytes;

	if (!ids || !back || !copy)
		abort();
	count = tandem_tokenizer_encode(tokenizer, text, length, flags, ids, id_room);
	if (count < 0 || tandem_tokenizer_encode(tokenizer, text, length, flags, NULL, 0) != count)
		abort();
	for (i = 0; i < count; i++) {
		/* Not asked for, none may come; where it may, texts do not come back. */
		if (!is_special(tokenizer, ids[i]))
			continue;
		if (!(flags & TANDEM_ENCODE_SPECIAL))
			abort();
		goto out;
	}
	/* A space is put after tokens that are spelled out. */
	if (sentencepiece && flags & (TANDEM_ENCODE_SPECIAL | TANDEM_ENCODE_USER_DEFINED))
		goto out;
	memcpy(copy, text, length);
	bytes = decode(tokenizer, ids, (size_t)count, back, room);
	if (sentencepiece)
		length = unmark(copy, length);
	if (bytes != length || memcmp(copy, back, length))
		abort();
out:
	free(copy);
	free(back);
	free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tandem_tokenizer *tokenizers[KINDS];
	size_t kind;

	if (size < 2)
		return 0;
	kind = data[0] % KINDS;
	if (!tokenizers[kind])
		tokenizers[kind] = load(kinds[kind].model, kinds[kind].pretokenizer);
	round_trip(tokenizers[kind], !kinds[kind].pretokenizer, (const char *)data + 2, size - 2,
		   data[1] & (TANDEM_ENCODE_USER_DEFINED | TANDEM_ENCODE_SPECIAL));
	return 0;
}
