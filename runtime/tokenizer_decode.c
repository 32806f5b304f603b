// SPDX-License-Identifier: MIT
/*
 * Tokens to text.
 */
#include <errno.h>
#include <string.h>

#include "tokenizer_vocabulary.h"
#include "utf8.h"

static ssize_t put(const char *bytes, size_t count, char *text, size_t size)
{
	if (count > size)
		return -ENOSPC;
	if (count)
		memcpy(text, bytes, count);
	return (ssize_t)count;
}

/*
 * Writes no more than @token->length bytes, from the @skip'th byte on; @text may
 * be NULL, to count them.
 */
static size_t unmark_spaces(const struct tandem_token *token, size_t skip, char *text)
{
	size_t at = skip, bytes = 0;

	while (at < token->length) {
		if (token->length - at >= SPACE_MARK_BYTES &&
		    !memcmp(token->text + at, SPACE_MARK, SPACE_MARK_BYTES)) {
			if (text)
				text[bytes] = ' ';
			at += SPACE_MARK_BYTES;
		} else {
			if (text)
				text[bytes] = token->text[at];
			at++;
		}
		bytes++;
	}
	return bytes;
}

/* @first: whether a space that encoding has put in front is to be dropped */
static ssize_t put_text(const struct tandem_tokenizer *tokenizer,
			const struct tandem_token *token, bool first, char *text, size_t size)
{
	size_t skip = 0, bytes;

	if (tokenizer->kind == TANDEM_TOKENIZER_BYTE_LEVEL)
		return put(token->text, token->length, text, size);
	if (first && tokenizer->add_space_prefix && token->length >= SPACE_MARK_BYTES &&
	    !memcmp(token->text, SPACE_MARK, SPACE_MARK_BYTES))
		skip = SPACE_MARK_BYTES;
	bytes = unmark_spaces(token, skip, NULL);
	if (bytes > size)
		return -ENOSPC;
	return (ssize_t)unmark_spaces(token, skip, text);
}

ssize_t tandem_tokenizer_decode(const struct tandem_tokenizer *tokenizer, uint32_t id,
				uint32_t previous, char *text, size_t size)
{
	const bool first = previous == TANDEM_TOKEN_NONE || previous == tokenizer->bos;
	const struct tandem_token *token;

	if (id >= tokenizer->size)
		return -EINVAL;
	token = &tokenizer->tokens[id];
	switch (token->type) {
	case TANDEM_TOKEN_TYPE_CONTROL:
		return 0;
	case TANDEM_TOKEN_TYPE_UNKNOWN:
		return put(UTF8_REPLACEMENT, UTF8_REPLACEMENT_BYTES, text, size);
	case TANDEM_TOKEN_TYPE_BYTE:
		return put((const char *)&token->byte, 1, text, size);
	default:
		return put_text(tokenizer, token, first, text, size);
	}
}

ssize_t tandem_tokenizer_piece(const struct tandem_tokenizer *tokenizer, uint32_t id, char *text,
			       size_t size)
{
	const struct tandem_token *token;

	if (id >= tokenizer->size)
		return -EINVAL;
	token = &tokenizer->tokens[id];
	switch (token->type) {
	case TANDEM_TOKEN_TYPE_CONTROL:
	case TANDEM_TOKEN_TYPE_UNKNOWN:
		return put(token->text, token->length, text, size);
	case TANDEM_TOKEN_TYPE_BYTE:
		return put((const char *)&token->byte, 1, text, size);
	default:
		return put_text(tokenizer, token, false, text, size);
	}
}

/* Streams. */

void tandem_text_stream_begin(struct tandem_text_stream *stream)
{
	memset(stream, 0, sizeof(*stream));
	stream->previous = TANDEM_TOKEN_NONE;
}

ssize_t tandem_text_stream_put(struct tandem_text_stream *stream,
			       const struct tandem_tokenizer *tokenizer, uint32_t id, char *text,
			       size_t size)
{
	size_t ready, held = stream->held_bytes;
	ssize_t bytes;

	if (held > size)
		return -ENOSPC;
	bytes = tandem_tokenizer_decode(tokenizer, id, stream->previous, text + held,
					size - held);
	if (bytes < 0)
		return bytes;
	if (held)
		memcpy(text, stream->held, held);
	ready = held + (size_t)bytes;
	stream->previous = id;
	stream->held_bytes = tandem_utf8_unfinished(text, ready);
	ready -= stream->held_bytes;
	if (stream->held_bytes)
		memcpy(stream->held, text + ready, stream->held_bytes);
	return (ssize_t)ready;
}

ssize_t tandem_text_stream_end(struct tandem_text_stream *stream, char *text, size_t size)
{
	const ssize_t bytes = put(stream->held, stream->held_bytes, text, size);

	if (bytes >= 0)
		tandem_text_stream_begin(stream);
	return bytes;
}
