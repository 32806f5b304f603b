// SPDX-License-Identifier: MIT
/*
 * Tokens by their text.
 */
#include <string.h>

#include "tokenizer_vocabulary.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t tandem_tokenizer_hash(uint64_t seed, const char *text, size_t length)
{
	/* Digits of pi: of no structure that matters. */
	const uint64_t multiplier = 0x243f6a8885a308d3ULL;
	uint64_t state = seed ^ length, word;

	while (length >= sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		state = mix(state ^ word, multiplier ^ seed);
		text += sizeof(word);
		length -= sizeof(word);
	}
	word = 0;
	memcpy(&word, text, length);
	return mix(state ^ word, multiplier ^ seed);
}

/* The entry of @table that holds the text's token, or where it would be. */
static uint32_t *find_entry(const struct tandem_tokenizer *tokenizer, const char *text,
			    size_t length)
{
	size_t at = tandem_tokenizer_hash(tokenizer->seed, text, length) & tokenizer->table_mask;

	/* Half of the table is empty, at least. */
	while (tokenizer->table[at] != TANDEM_TOKEN_NONE) {
		const struct tandem_token *token = &tokenizer->tokens[tokenizer->table[at]];

		if (token->length == length && !memcmp(token->text, text, length))
			break;
		at = (at + 1) & tokenizer->table_mask;
	}
	return &tokenizer->table[at];
}

uint32_t tandem_tokenizer_find(const struct tandem_tokenizer *tokenizer, const char *text,
			       size_t length)
{
	return *find_entry(tokenizer, text, length);
}

void tandem_tokenizer_index(struct tandem_tokenizer *tokenizer, uint32_t id)
{
	const struct tandem_token *token = &tokenizer->tokens[id];
	uint32_t *entry = find_entry(tokenizer, token->text, token->length);

	if (*entry == TANDEM_TOKEN_NONE)
		*entry = id;
}
