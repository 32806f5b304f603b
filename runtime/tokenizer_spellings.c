// SPDX-License-Identifier: MIT
/*
 * Tokens that are spelled out in text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_spellings.h"

/*
 * @ids: sorted by text, each text once
 * @count: entries of @ids
 * @begins: whether any begins with a byte
 */
struct tandem_spellings {
	uint32_t *ids;
	uint32_t count;
	bool begins[256];
};

static bool may_be_spelled(const struct tandem_token *token)
{
	if (!token->length || token->length > TANDEM_SPELLING_BYTES_MAX)
		return false;
	return token->type == TANDEM_TOKEN_TYPE_CONTROL ||
	       token->type == TANDEM_TOKEN_TYPE_UNKNOWN ||
	       token->type == TANDEM_TOKEN_TYPE_USER_DEFINED;
}

static int compare_texts(const struct tandem_token *a, const struct tandem_token *b)
{
	const uint32_t least = a->length < b->length ? a->length : b->length;
	const int order = memcmp(a->text, b->text, least);

	return order ? order : (a->length > b->length) - (a->length < b->length);
}

static int compare_ids(const void *a, const void *b, void *tokens)
{
	const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	const struct tandem_token *all = tokens;
	const int order = compare_texts(&all[left], &all[right]);

	return order ? order : (left > right) - (left < right);
}

/* Of tokens with the same text, the lowest id stays. */
static void drop_duplicates(struct tandem_spellings *spellings, const struct tandem_token *tokens)
{
	uint32_t i, kept = 0;

	for (i = 0; i < spellings->count; i++) {
		if (kept && !compare_texts(&tokens[spellings->ids[kept - 1]],
					   &tokens[spellings->ids[i]]))
			continue;
		spellings->ids[kept++] = spellings->ids[i];
	}
	spellings->count = kept;
}

int tandem_spellings_create(struct tandem_tokenizer *tokenizer)
{
	const struct tandem_token *tokens = tokenizer->tokens;
	struct tandem_spellings *spellings = calloc(1, sizeof(*spellings));
	uint32_t id, count = 0;

	if (!spellings)
		return -ENOMEM;
	tokenizer->spellings = spellings;
	for (id = 0; id < tokenizer->size; id++)
		count += may_be_spelled(&tokens[id]);
	if (!count)
		return 0;
	spellings->ids = malloc(count * sizeof(*spellings->ids));
	if (!spellings->ids)
		return -ENOMEM;
	for (id = 0; id < tokenizer->size; id++) {
		if (!may_be_spelled(&tokens[id]))
			continue;
		spellings->ids[spellings->count++] = id;
		spellings->begins[(unsigned char)tokens[id].text[0]] = true;
	}
	qsort_r(spellings->ids, spellings->count, sizeof(*spellings->ids), compare_ids,
		tokenizer->tokens);
	drop_duplicates(spellings, tokens);
	return 0;
}

void tandem_spellings_destroy(struct tandem_spellings *spellings)
{
	if (!spellings)
		return;
	free(spellings->ids);
	free(spellings);
}

/*
 * First entry of [@low, @high), all of which agree in @depth bytes, whose next
 * byte is @byte or more. What ends there comes before what goes on.
 */
static uint32_t first_not_below(const struct tandem_tokenizer *tokenizer, uint32_t low,
				uint32_t high, uint32_t depth, unsigned int byte)
{
	const uint32_t *ids = tokenizer->spellings->ids;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;
		const struct tandem_token *token = &tokenizer->tokens[ids[middle]];

		if (token->length <= depth || (unsigned char)token->text[depth] < byte)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool counts(const struct tandem_token *token, unsigned int flags)
{
	if (token->type == TANDEM_TOKEN_TYPE_USER_DEFINED)
		return flags & (TANDEM_ENCODE_USER_DEFINED | TANDEM_ENCODE_SPECIAL);
	return flags & TANDEM_ENCODE_SPECIAL;
}

/* The longest that begins right at @text. */
static uint32_t longest(const struct tandem_tokenizer *tokenizer, unsigned int flags,
			const char *text, size_t length)
{
	const uint32_t *ids = tokenizer->spellings->ids;
	uint32_t low = 0, high = tokenizer->spellings->count, depth, best = TANDEM_TOKEN_NONE;

	for (depth = 0; depth < length; depth++) {
		const unsigned char byte = (unsigned char)text[depth];

		low = first_not_below(tokenizer, low, high, depth, byte);
		high = first_not_below(tokenizer, low, high, depth, byte + 1u);
		if (low == high)
			break;
		if (tokenizer->tokens[ids[low]].length == depth + 1 &&
		    counts(&tokenizer->tokens[ids[low]], flags))
			best = ids[low];
	}
	return best;
}

uint32_t tandem_spellings_next(const struct tandem_tokenizer *tokenizer, unsigned int flags,
			       const char *text, size_t length, size_t *start)
{
	const struct tandem_spellings *spellings = tokenizer->spellings;
	size_t at = length;
	uint32_t id;

	if (flags & (TANDEM_ENCODE_USER_DEFINED | TANDEM_ENCODE_SPECIAL))
		at = 0;
	for (; at < length; at++) {
		if (!spellings->begins[(unsigned char)text[at]])
			continue;
		id = longest(tokenizer, flags, text + at, length - at);
		if (id != TANDEM_TOKEN_NONE) {
			*start = at;
			return id;
		}
	}
	*start = length;
	return TANDEM_TOKEN_NONE;
}
