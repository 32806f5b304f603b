// SPDX-License-Identifier: MIT
/*
 * Text to tokens.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_merge.h"
#include "tokenizer_pretokenizer.h"
#include "tokenizer_spellings.h"
#include "utf8.h"

/*
 * @ids: where to put tokens; may be NULL
 * @id_count: tokens so far, also those that had no room
 * @id_capacity: room in @ids
 */
struct encoder {
	const struct tandem_tokenizer *tokenizer;
	struct tandem_merger merger;
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

/* A symbol that is no token: its bytes, or one unknown token for all of them. */
static void put_bytes(struct encoder *encoder, const char *text, uint32_t length)
{
	const uint32_t *byte_ids = encoder->tokenizer->byte_ids;
	uint32_t i;

	for (i = 0; i < length; i++) {
		if (byte_ids[(unsigned char)text[i]] == TANDEM_TOKEN_NONE) {
			put_id(encoder, encoder->tokenizer->unknown);
			return;
		}
	}
	for (i = 0; i < length; i++)
		put_id(encoder, byte_ids[(unsigned char)text[i]]);
}

/* Merge what has been added to the merger, and put what comes of it. */
static int put_merged(struct encoder *encoder)
{
	const struct tandem_merger *merger = &encoder->merger;
	uint32_t i;
	int ret;

	ret = tandem_merger_run(&encoder->merger);
	if (ret)
		return ret;
	for (i = 0; i != TANDEM_NO_SYMBOL; i = merger->symbols[i].next) {
		const struct tandem_symbol *symbol = &merger->symbols[i];

		if (symbol->id == TANDEM_TOKEN_NONE)
			put_bytes(encoder, merger->text + symbol->offset, symbol->length);
		else
			put_id(encoder, symbol->id);
	}
	return 0;
}

/* Byte-level vocabularies: a piece begins as its bytes. */

static int put_piece(void *context, const char *piece, size_t length)
{
	struct encoder *encoder = context;
	const struct tandem_tokenizer *tokenizer = encoder->tokenizer;
	uint32_t id = TANDEM_TOKEN_NONE;
	size_t i;
	int ret;

	if (length <= tokenizer->piece_max &&
	    tandem_pretokenizer_ignores_merges(tokenizer->pretokenizer))
		id = tandem_tokenizer_find(tokenizer, piece, length);
	if (id != TANDEM_TOKEN_NONE) {
		put_id(encoder, id);
		return 0;
	}
	tandem_merger_begin(&encoder->merger, piece);
	for (i = 0; i < length; i++) {
		ret = tandem_merger_add(&encoder->merger, 1,
					tokenizer->byte_ids[(unsigned char)piece[i]]);
		if (ret)
			return ret;
	}
	return put_merged(encoder);
}

static int encode_byte_level(struct encoder *encoder, const char *text, size_t length)
{
	return tandem_pretokenizer_split(encoder->tokenizer->pretokenizer, text, length, put_piece,
					 encoder);
}

/* SentencePiece's: all of the text at once begins as its characters. */

/* The text with its spaces marked, and one in front if @prefix; to be freed. */
static char *mark_spaces(const char *text, size_t length, bool prefix, size_t *marked_length)
{
	size_t i, spaces = prefix;
	char *marked, *at;

	for (i = 0; i < length; i++)
		spaces += text[i] == ' ';
	marked = malloc(length + spaces * SPACE_MARK_BYTES);
	if (!marked)
		return NULL;

	at = marked;
	if (prefix) {
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
	*marked_length = at - marked;
	return marked;
}

static int encode_sentencepiece(struct encoder *encoder, const char *text, size_t length,
				bool prefix)
{
	size_t marked_length, at, bytes;
	char *marked;
	int ret = 0;

	marked = mark_spaces(text, length, prefix, &marked_length);
	if (!marked)
		return -ENOMEM;
	tandem_merger_begin(&encoder->merger, marked);
	for (at = 0; at < marked_length && !ret; at += bytes) {
		bytes = tandem_utf8_character(marked + at, marked_length - at);
		if (!bytes)
			bytes = 1;
		ret = tandem_merger_add(&encoder->merger, (uint32_t)bytes,
					tandem_tokenizer_find(encoder->tokenizer, marked + at,
							      bytes));
	}
	if (!ret)
		ret = put_merged(encoder);
	free(marked);
	return ret;
}

/* Both: plain text, and between it tokens that are spelled out. */
static int encode_text(struct encoder *encoder, const char *text, size_t length,
		       unsigned int flags)
{
	const struct tandem_tokenizer *tokenizer = encoder->tokenizer;
	uint32_t id = TANDEM_TOKEN_NONE;
	size_t plain;
	int ret = 0;

	while (length) {
		id = tandem_spellings_next(tokenizer, flags, text, length, &plain);
		if (plain && tokenizer->kind == TANDEM_TOKENIZER_BYTE_LEVEL)
			ret = encode_byte_level(encoder, text, plain);
		else if (plain)
			/* At the beginning, and after each token that is spelled out. */
			ret = encode_sentencepiece(encoder, text, plain,
						   tokenizer->add_space_prefix);
		if (ret)
			return ret;
		if (id != TANDEM_TOKEN_NONE) {
			put_id(encoder, id);
			plain += tokenizer->tokens[id].length;
		}
		text += plain;
		length -= plain;
	}
	return 0;
}

ssize_t tandem_tokenizer_encode(const struct tandem_tokenizer *tokenizer, const char *text,
				size_t length, unsigned int flags, uint32_t *ids, size_t capacity)
{
	struct encoder encoder = {
		.tokenizer = tokenizer,
		.merger.tokenizer = tokenizer,
		.ids = ids,
		.id_capacity = ids ? capacity : 0,
	};
	int ret;

	if (length > TANDEM_TOKENIZER_TEXT_MAX)
		return -E2BIG;
	if (flags & ~TANDEM_ENCODE_FLAGS ||
	    (flags & TANDEM_ENCODE_BOS && tokenizer->bos == TANDEM_TOKEN_NONE) ||
	    (flags & TANDEM_ENCODE_EOS && tokenizer->eos == TANDEM_TOKEN_NONE))
		return -EINVAL;
	if (flags & TANDEM_ENCODE_BOS)
		put_id(&encoder, tokenizer->bos);
	ret = encode_text(&encoder, text, length, flags);
	tandem_merger_end(&encoder.merger);
	if (ret)
		return ret;
	if (flags & TANDEM_ENCODE_EOS)
		put_id(&encoder, tokenizer->eos);
	if (ids && encoder.id_count > capacity)
		return -ENOSPC;
	return (ssize_t)encoder.id_count;
}
