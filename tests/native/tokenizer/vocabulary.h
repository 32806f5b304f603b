/* SPDX-License-Identifier: MIT */
/*
 * Small vocabularies for tests, and tokenizers made of them.
 */
#ifndef TANDEM_TESTS_VOCABULARY_H
#define TANDEM_TESTS_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/tokenizer.h"

/* One more than a vocabulary of tests can have tokens. */
#define VOCABULARY_MAX	512

struct vocabulary_token {
	const char *text;
	float score;
	int32_t type;
};

/**
 * struct vocabulary - what goes into a file
 * @model: tokenizer.ggml.model; NULL: no such key
 * @tokens: the tokens
 * @count: of @tokens
 * @score_count: entries of the array of scores
 * @type_count: entries of the array of types
 * @bos: tokenizer.ggml.bos_token_id; negative: no such key
 * @eos: likewise
 * @unknown: likewise
 * @add_bos: tokenizer.ggml.add_bos_token; negative: no such key
 * @add_space_prefix: likewise
 */
struct vocabulary {
	const char *model;
	struct vocabulary_token tokens[VOCABULARY_MAX];
	size_t count;
	size_t score_count;
	size_t type_count;
	int64_t bos;
	int64_t eos;
	int64_t unknown;
	int add_bos;
	int add_space_prefix;
};

/*
 * <unk>, <s>, </s>, the 256 bytes, and some letters and words.
 */
void vocabulary_init(struct vocabulary *vocabulary);

/* Append a token and return its id. */
uint32_t vocabulary_add(struct vocabulary *vocabulary, const char *text, float score,
			int32_t type);

/* Id of the first token of that text; ends the test if there is none. */
uint32_t vocabulary_id(const struct vocabulary *vocabulary, const char *text);

/* Put it into a GGUF file and make the tokenizer, as tandem_tokenizer_load(). */
int vocabulary_load(const struct vocabulary *vocabulary, struct tandem_tokenizer **tokenizer,
		    struct tandem_error *error);

#endif /* TANDEM_TESTS_VOCABULARY_H */
