// SPDX-License-Identifier: MIT
/*
 * SentencePiece tokenizer of the byte-pair kind ("llama" in GGUF).
 *
 * Encoding is that of SentencePiece (https://github.com/google/sentencepiece,
 * bpe_model): spaces become U+2581, the text falls into characters, and again
 * and again the two neighbours whose concatenation has the highest score of
 * the vocabulary are merged, the leftmost of equals first. What is left and is
 * no token is spelled in byte tokens. Two things differ, both for pieces that
 * models of this architecture hardly have: user-defined pieces are not looked
 * for in text, and unused ones do not serve as steps of a merge.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_vocabulary.h"

#define NO_SYMBOL	UINT32_MAX

/*
 * A stretch of the text that is one symbol so far. @length is 0 once it has
 * been merged into the one before it. @id is TANDEM_TOKEN_NONE for a character
 * that is no token.
 */
struct symbol {
	uint32_t offset;
	uint32_t length;
	uint32_t previous;
	uint32_t next;
	uint32_t id;
};

/*
 * Two neighbours that can be merged into token @id. @length is that of both
 * together: symbols only grow, so it tells whether either has changed since.
 */
struct pair {
	float score;
	uint32_t left;
	uint32_t length;
	uint32_t id;
};

/* @pairs: a heap, the pair to merge next in front */
struct encoder {
	const struct tandem_tokenizer *tokenizer;
	char *text;
	uint32_t length;
	struct symbol *symbols;
	uint32_t symbol_count;
	struct pair *pairs;
	size_t pair_count;
	size_t pair_capacity;
	uint32_t *ids;
	size_t id_count;
	size_t id_capacity;
};

static void put_id(struct encoder *encoder, uint32_t id)
{
	if (encoder->id_count < encoder->id_capacity)
		encoder->ids[encoder->id_count] = id;
	encoder->id_count++;
}

/* Spaces marked, and one in front where the model wants it so. */
static int mark_spaces(struct encoder *encoder, const char *text, size_t length)
{
	size_t i, spaces = encoder->tokenizer->add_space_prefix;
	char *at;

	for (i = 0; i < length; i++)
		spaces += text[i] == ' ';
	encoder->length = length + spaces * SPACE_MARK_BYTES;
	encoder->text = malloc(encoder->length);
	if (!encoder->text)
		return -ENOMEM;

	at = encoder->text;
	if (encoder->tokenizer->add_space_prefix) {
		memcpy(at, SPACE_MARK, SPACE_MARK_BYTES);
		at += SPACE_MARK_BYTES;
	}
	for (i = 0; i < length; i++) {
		if (text[i] == ' ') {
			memcpy(at, SPACE_MARK, SPACE_MARK_BYTES);
			at += SPACE_MARK_BYTES;
		} else {
			*at++ = text[i];
		}
	}
	encoder->length = at - encoder->text;
	return 0;
}

static bool continues(const unsigned char *at, unsigned char low, unsigned char high)
{
	return *at >= low && *at <= high;
}

/*
 * Bytes of the UTF-8 character at @at, or 1 if there is no whole and valid one
 * (The Unicode Standard, table 3-7).
 */
static uint32_t character_bytes(const unsigned char *at, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;

	if (at[0] >= 0xc2 && at[0] <= 0xdf)
		return left >= 2 && continues(at + 1, low, high) ? 2 : 1;
	if (at[0] >= 0xe0 && at[0] <= 0xef) {
		if (at[0] == 0xe0)
			low = 0xa0;
		if (at[0] == 0xed)
			high = 0x9f;
		return left >= 3 && continues(at + 1, low, high) &&
		       continues(at + 2, 0x80, 0xbf) ? 3 : 1;
	}
	if (at[0] >= 0xf0 && at[0] <= 0xf4) {
		if (at[0] == 0xf0)
			low = 0x90;
		if (at[0] == 0xf4)
			high = 0x8f;
		return left >= 4 && continues(at + 1, low, high) &&
		       continues(at + 2, 0x80, 0xbf) && continues(at + 3, 0x80, 0xbf) ? 4 : 1;
	}
	return 1;
}

static int split_characters(struct encoder *encoder)
{
	const unsigned char *text = (const unsigned char *)encoder->text;
	uint32_t offset, bytes, count = 0;

	for (offset = 0; offset < encoder->length; offset += bytes) {
		bytes = character_bytes(text + offset, encoder->length - offset);
		count++;
	}
	encoder->symbols = malloc(count * sizeof(*encoder->symbols));
	if (!encoder->symbols)
		return -ENOMEM;

	for (offset = 0; offset < encoder->length; offset += bytes) {
		struct symbol *symbol = &encoder->symbols[encoder->symbol_count];

		bytes = character_bytes(text + offset, encoder->length - offset);
		symbol->offset = offset;
		symbol->length = bytes;
		symbol->previous = encoder->symbol_count ? encoder->symbol_count - 1 : NO_SYMBOL;
		symbol->next = offset + bytes < encoder->length ? encoder->symbol_count + 1 :
								  NO_SYMBOL;
		symbol->id = tandem_tokenizer_find(encoder->tokenizer, encoder->text + offset,
						   bytes);
		encoder->symbol_count++;
	}
	return 0;
}

/* Whether @a is to be merged before @b: higher score first, then leftmost. */
static bool goes_before(const struct pair *a, const struct pair *b)
{
	if (a->score != b->score)
		return a->score > b->score;
	return a->left < b->left;
}

static int push_pair(struct encoder *encoder, const struct pair *pair)
{
	size_t at = encoder->pair_count;

	if (at == encoder->pair_capacity) {
		size_t capacity = at ? at * 2 : 256;
		struct pair *pairs = realloc(encoder->pairs, capacity * sizeof(*pairs));

		if (!pairs)
			return -ENOMEM;
		encoder->pairs = pairs;
		encoder->pair_capacity = capacity;
	}
	encoder->pair_count++;
	while (at && goes_before(pair, &encoder->pairs[(at - 1) / 2])) {
		encoder->pairs[at] = encoder->pairs[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	encoder->pairs[at] = *pair;
	return 0;
}

static struct pair pop_pair(struct encoder *encoder)
{
	struct pair first = encoder->pairs[0];
	struct pair last = encoder->pairs[--encoder->pair_count];
	size_t at = 0, child;

	for (;;) {
		child = 2 * at + 1;
		if (child >= encoder->pair_count)
			break;
		if (child + 1 < encoder->pair_count &&
		    goes_before(&encoder->pairs[child + 1], &encoder->pairs[child]))
			child++;
		if (!goes_before(&encoder->pairs[child], &last))
			break;
		encoder->pairs[at] = encoder->pairs[child];
		at = child;
	}
	encoder->pairs[at] = last;
	return first;
}

/* Consider merging a symbol with its right neighbour. */
static int consider(struct encoder *encoder, uint32_t left)
{
	const struct tandem_tokenizer *tokenizer = encoder->tokenizer;
	const struct symbol *symbol;
	struct pair pair = { .left = left };

	if (left == NO_SYMBOL || encoder->symbols[left].next == NO_SYMBOL)
		return 0;
	symbol = &encoder->symbols[left];
	pair.length = symbol->length + encoder->symbols[symbol->next].length;
	if (pair.length > tokenizer->piece_max)
		return 0;
	pair.id = tandem_tokenizer_find(tokenizer, encoder->text + symbol->offset, pair.length);
	if (pair.id == TANDEM_TOKEN_NONE)
		return 0;
	pair.score = tokenizer->tokens[pair.id].score;
	return push_pair(encoder, &pair);
}

static bool is_stale(const struct encoder *encoder, const struct pair *pair)
{
	const struct symbol *left = &encoder->symbols[pair->left];

	return !left->length || left->next == NO_SYMBOL ||
	       left->length + encoder->symbols[left->next].length != pair->length;
}

static int merge_pair(struct encoder *encoder, const struct pair *pair)
{
	struct symbol *left = &encoder->symbols[pair->left];
	struct symbol *right = &encoder->symbols[left->next];
	int ret;

	left->length = pair->length;
	left->id = pair->id;
	left->next = right->next;
	right->length = 0;
	if (left->next != NO_SYMBOL)
		encoder->symbols[left->next].previous = pair->left;

	ret = consider(encoder, left->previous);
	return ret ? ret : consider(encoder, pair->left);
}

/*
 * Each merge removes a symbol and adds two pairs at most, and the length of a
 * token bounds the cost of a lookup: O(n log n) in the length of the text.
 */
static int merge_symbols(struct encoder *encoder)
{
	uint32_t i;
	int ret;

	for (i = 0; i < encoder->symbol_count; i++) {
		ret = consider(encoder, i);
		if (ret)
			return ret;
	}
	while (encoder->pair_count) {
		struct pair pair = pop_pair(encoder);

		if (is_stale(encoder, &pair))
			continue;
		ret = merge_pair(encoder, &pair);
		if (ret)
			return ret;
	}
	return 0;
}

static void put_bytes(struct encoder *encoder, const struct symbol *symbol)
{
	const unsigned char *text = (const unsigned char *)encoder->text + symbol->offset;
	const uint32_t *byte_ids = encoder->tokenizer->byte_ids;
	uint32_t i;

	for (i = 0; i < symbol->length; i++) {
		if (byte_ids[text[i]] == TANDEM_TOKEN_NONE) {
			put_id(encoder, encoder->tokenizer->unknown);
			return;
		}
	}
	for (i = 0; i < symbol->length; i++)
		put_id(encoder, byte_ids[text[i]]);
}

static void put_symbols(struct encoder *encoder)
{
	uint32_t i;

	for (i = 0; i != NO_SYMBOL; i = encoder->symbols[i].next) {
		if (encoder->symbols[i].id == TANDEM_TOKEN_NONE)
			put_bytes(encoder, &encoder->symbols[i]);
		else
			put_id(encoder, encoder->symbols[i].id);
	}
}

static int encode_text(struct encoder *encoder, const char *text, size_t length)
{
	int ret;

	ret = mark_spaces(encoder, text, length);
	if (ret)
		goto out;
	ret = split_characters(encoder);
	if (ret)
		goto out;
	ret = merge_symbols(encoder);
	if (ret)
		goto out;
	put_symbols(encoder);
out:
	free(encoder->pairs);
	free(encoder->symbols);
	free(encoder->text);
	return ret;
}

ssize_t tandem_tokenizer_encode(const struct tandem_tokenizer *tokenizer, const char *text,
				size_t length, bool add_bos, uint32_t *ids, size_t capacity)
{
	struct encoder encoder = {
		.tokenizer = tokenizer,
		.ids = ids,
		.id_capacity = ids ? capacity : 0,
	};
	int ret;

	if (length > TANDEM_TOKENIZER_TEXT_MAX)
		return -E2BIG;
	if (add_bos) {
		if (tokenizer->bos == TANDEM_TOKEN_NONE)
			return -EINVAL;
		put_id(&encoder, tokenizer->bos);
	}
	if (length) {
		ret = encode_text(&encoder, text, length);
		if (ret)
			return ret;
	}
	if (ids && encoder.id_count > capacity)
		return -ENOSPC;
	return (ssize_t)encoder.id_count;
}
