/* SPDX-License-Identifier: MIT */
/*
 * A tokenizer's vocabulary, as tokenizer.c and tokenizer_encode.c see it. For
 * those two only.
 */
#ifndef TANDEM_RUNTIME_TOKENIZER_VOCABULARY_H
#define TANDEM_RUNTIME_TOKENIZER_VOCABULARY_H

#include <tandem/tokenizer.h>

/* U+2581, which stands for the space in vocabularies. */
#define SPACE_MARK		"\xe2\x96\x81"
#define SPACE_MARK_BYTES	3

/* Of tokenizer.ggml.token_type. */
enum tandem_token_type {
	TANDEM_TOKEN_TYPE_NORMAL = 1,
	TANDEM_TOKEN_TYPE_UNKNOWN = 2,
	TANDEM_TOKEN_TYPE_CONTROL = 3,
	TANDEM_TOKEN_TYPE_USER_DEFINED = 4,
	TANDEM_TOKEN_TYPE_UNUSED = 5,
	TANDEM_TOKEN_TYPE_BYTE = 6,
};

/* @byte: what a TANDEM_TOKEN_TYPE_BYTE stands for */
struct tandem_token {
	const char *text;
	uint32_t length;
	float score;
	uint8_t type;
	uint8_t byte;
};

/*
 * @texts: what tokens[].text points into
 * @table: ids of normal tokens by hash of their text, open addressing
 * @table_mask: entries of @table minus 1; a power of two minus 1
 * @seed: of the hash, random, so that no file can be made of collisions
 * @piece_max: bytes of the longest text of a token
 * @byte_ids: the token of each byte, or TANDEM_TOKEN_NONE
 */
struct tandem_tokenizer {
	struct tandem_token *tokens;
	uint32_t size;
	char *texts;
	uint32_t *table;
	size_t table_mask;
	uint64_t seed;
	size_t piece_max;
	uint32_t byte_ids[256];
	uint32_t bos;
	uint32_t eos;
	uint32_t unknown;
	bool add_bos;
	bool add_space_prefix;
};

/**
 * tandem_tokenizer_find() - find a normal token by its text
 * @tokenizer: the tokenizer
 * @text: the text, spaces marked
 * @length: bytes of @text
 *
 * Return: its id, or TANDEM_TOKEN_NONE.
 */
uint32_t tandem_tokenizer_find(const struct tandem_tokenizer *tokenizer, const char *text,
			       size_t length);

#endif /* TANDEM_RUNTIME_TOKENIZER_VOCABULARY_H */
