/* SPDX-License-Identifier: MIT */
/*
 * A tokenizer's vocabulary, as the files of the tokenizer see it. For those
 * only.
 */
#ifndef TANDEM_RUNTIME_TOKENIZER_VOCABULARY_H
#define TANDEM_RUNTIME_TOKENIZER_VOCABULARY_H

#include <tandem/tokenizer.h>

/* U+2581, which stands for the space in vocabularies of SentencePiece. */
#define SPACE_MARK		"\xe2\x96\x81"
#define SPACE_MARK_BYTES	3

struct tandem_merge_table;
struct tandem_pretokenizer;
struct tandem_spellings;

/* Of tokenizer.ggml.model. */
enum tandem_tokenizer_kind {
	TANDEM_TOKENIZER_SENTENCEPIECE,	/* "llama" */
	TANDEM_TOKENIZER_BYTE_LEVEL,	/* "gpt2" */
};

/* Of tokenizer.ggml.token_type. */
enum tandem_token_type {
	TANDEM_TOKEN_TYPE_NORMAL = 1,
	TANDEM_TOKEN_TYPE_UNKNOWN = 2,
	TANDEM_TOKEN_TYPE_CONTROL = 3,
	TANDEM_TOKEN_TYPE_USER_DEFINED = 4,
	TANDEM_TOKEN_TYPE_UNUSED = 5,
	TANDEM_TOKEN_TYPE_BYTE = 6,
};

/*
 * @text: of normal tokens of a byte-level vocabulary, the bytes that they stand
 *	for; else as in the file
 * @spelled: whether text can become this token by merging
 * @byte: what a TANDEM_TOKEN_TYPE_BYTE stands for
 */
struct tandem_token {
	const char *text;
	uint32_t length;
	float score;
	uint8_t type;
	uint8_t byte;
	bool spelled;
};

/*
 * @texts: what tokens[].text points into
 * @table: ids of spelled tokens by hash of their text, open addressing
 * @table_mask: entries of @table minus 1; a power of two minus 1
 * @seed: of the hash, random, so that no file can be made of collisions
 * @piece_max: bytes of the longest text of a token
 * @byte_ids: the token of each byte, or TANDEM_TOKEN_NONE
 * @spellings: tokens that may be spelled out in text
 * @merges: of a byte-level vocabulary; else NULL
 * @pretokenizer: likewise
 */
struct tandem_tokenizer {
	enum tandem_tokenizer_kind kind;
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
	uint32_t eot;
	uint32_t unknown;
	bool add_bos;
	bool add_eos;
	bool add_space_prefix;
	struct tandem_spellings *spellings;
	struct tandem_merge_table *merges;
	struct tandem_pretokenizer *pretokenizer;
};

/**
 * tandem_tokenizer_hash() - hash of bytes
 * @seed: random number
 * @text: the bytes
 * @length: how many
 */
uint64_t tandem_tokenizer_hash(uint64_t seed, const char *text, size_t length);

/**
 * tandem_tokenizer_find() - find a spelled token by its text
 * @tokenizer: the tokenizer
 * @text: the text, as in &struct tandem_token
 * @length: bytes of @text
 *
 * Return: its id, or TANDEM_TOKEN_NONE.
 */
uint32_t tandem_tokenizer_find(const struct tandem_tokenizer *tokenizer, const char *text,
			       size_t length);

/**
 * tandem_tokenizer_index() - have tandem_tokenizer_find() find a token
 * @tokenizer: the tokenizer, whose @table has room
 * @id: a spelled token; of those with the same text, the first is found
 */
void tandem_tokenizer_index(struct tandem_tokenizer *tokenizer, uint32_t id);

#endif /* TANDEM_RUNTIME_TOKENIZER_VOCABULARY_H */
