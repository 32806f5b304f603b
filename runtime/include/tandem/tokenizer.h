/* SPDX-License-Identifier: MIT */
/*
 * Text to tokens and back.
 */
#ifndef TANDEM_TOKENIZER_H
#define TANDEM_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <tandem/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct tandem_tokenizer - the vocabulary of a model
 *
 * Nothing of it changes once it is made, so that threads may share it.
 */
struct tandem_tokenizer;

/* In place of a token id: none. */
#define TANDEM_TOKEN_NONE	UINT32_MAX

/* The longest text that is taken at once, in bytes. */
#define TANDEM_TOKENIZER_TEXT_MAX	(16u << 20)

/**
 * tandem_tokenizer_load() - the tokenizer of a model file, without the model
 * @path: name of a GGUF file
 * @tokenizer: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EOPNOTSUPP a kind of tokenizer that is not built; -ENOENT no
 * such file, or no tokenizer in it; -EINVAL or -EBADMSG the file does not hold
 * together; -ENOMEM; or what open() says.
 */
int tandem_tokenizer_load(const char *path, struct tandem_tokenizer **tokenizer,
			  struct tandem_error *error);

/**
 * tandem_tokenizer_destroy() - free a tokenizer from tandem_tokenizer_load()
 * @tokenizer: may be NULL. One of a model belongs to the model
 */
void tandem_tokenizer_destroy(struct tandem_tokenizer *tokenizer);

/**
 * tandem_tokenizer_size() - number of tokens; ids are less than it
 * @tokenizer: the tokenizer
 */
uint32_t tandem_tokenizer_size(const struct tandem_tokenizer *tokenizer);

/**
 * tandem_tokenizer_bos() - the token that texts begin with
 * @tokenizer: the tokenizer
 *
 * Return: its id, or TANDEM_TOKEN_NONE.
 */
uint32_t tandem_tokenizer_bos(const struct tandem_tokenizer *tokenizer);

/**
 * tandem_tokenizer_eos() - the token that texts end with
 * @tokenizer: the tokenizer
 *
 * Return: its id, or TANDEM_TOKEN_NONE.
 */
uint32_t tandem_tokenizer_eos(const struct tandem_tokenizer *tokenizer);

/**
 * tandem_tokenizer_is_end() - whether a model says with this token that it is done
 * @tokenizer: the tokenizer
 * @id: any number
 *
 * Return: whether it ends a text (EOS) or, in models for conversations, a turn
 * (tokenizer.ggml.eot_token_id).
 */
bool tandem_tokenizer_is_end(const struct tandem_tokenizer *tokenizer, uint32_t id);

/**
 * tandem_tokenizer_add_bos() - whether prompts of this model begin with BOS
 * @tokenizer: the tokenizer
 *
 * Return: what the model file says. Where it says nothing: yes if there is a BOS
 * and the vocabulary is SentencePiece's or the pre-tokenizer Llama 3's.
 */
bool tandem_tokenizer_add_bos(const struct tandem_tokenizer *tokenizer);

/**
 * tandem_tokenizer_add_eos() - whether prompts of this model end with EOS
 * @tokenizer: the tokenizer
 *
 * Return: what the model file says, which is no where it says nothing.
 */
bool tandem_tokenizer_add_eos(const struct tandem_tokenizer *tokenizer);

/* Flags of tandem_tokenizer_encode(). */
#define TANDEM_ENCODE_BOS		(1u << 0) /* begin with BOS */
#define TANDEM_ENCODE_EOS		(1u << 1) /* end with EOS */
#define TANDEM_ENCODE_USER_DEFINED	(1u << 2) /* user-defined tokens may be spelled out */
#define TANDEM_ENCODE_SPECIAL		(1u << 3) /* so may those and control tokens */
#define TANDEM_ENCODE_FLAGS		((1u << 4) - 1) /* those that there are */

/**
 * tandem_tokenizer_encode() - turn text into tokens
 * @tokenizer: the tokenizer
 * @text: any bytes; NUL and invalid UTF-8 are taken as they are, byte by byte
 * @length: bytes of @text, at most TANDEM_TOKENIZER_TEXT_MAX
 * @flags: TANDEM_ENCODE_*
 * @ids: where to put the tokens, or NULL to count them only
 * @capacity: room in @ids; length + 4 suffices with the usual vocabularies, 3 *
 *	length + 4 with any
 *
 * Without TANDEM_ENCODE_SPECIAL and TANDEM_ENCODE_USER_DEFINED, all of @text is
 * plain text: no part of it becomes a control token ("<|im_start|>", say) or one
 * that the makers of the model have defined beside the vocabulary, even if it is
 * spelled like one. Text of strangers is to be encoded so, and a template around
 * it with TANDEM_ENCODE_SPECIAL. The tokenizers that models are trained with
 * always look for user-defined tokens; those count as harmless there. What begins
 * first counts, and of those the longest; spellings beyond 1,024 bytes are not
 * looked for.
 *
 * To a vocabulary of SentencePiece, U+2581 and the space are the same, and come
 * back as a space. With byte-level ones, the decoded tokens are @text, byte for
 * byte; in their pre-tokenizers a byte that is no part of a valid character
 * counts as U+FFFD. An empty text has no token but BOS and EOS.
 *
 * The time is O(n log n) in @length, whatever is in @text.
 *
 * Return: number of tokens; -ENOSPC more than @capacity (nothing in @ids is to
 * be used); -E2BIG the text is too long; -EINVAL unknown @flags, or BOS or EOS is
 * asked for and there is none; -ENOMEM.
 */
ssize_t tandem_tokenizer_encode(const struct tandem_tokenizer *tokenizer, const char *text,
				size_t length, unsigned int flags, uint32_t *ids,
				size_t capacity);

/**
 * tandem_tokenizer_decode() - the text of one token
 * @tokenizer: the tokenizer
 * @id: the token
 * @previous: the token before it, or TANDEM_TOKEN_NONE if it is the first
 * @text: where to put the bytes; no NUL follows them
 * @size: room in @text; tandem_tokenizer_piece_max() always suffices
 *
 * Made for streams: the bytes of successive tokens, one after the other, are
 * the text. One token's may end in the middle of a UTF-8 character, or not be
 * UTF-8 at all if the model so chooses; tandem_text_stream_put() keeps characters
 * together. Control tokens have no bytes, the
 * unknown token has U+FFFD. At the start of a text (first, or after BOS) the
 * space that tandem_tokenizer_encode() puts in front is dropped.
 *
 * Return: number of bytes; -ENOSPC more than @size, nothing is written;
 * -EINVAL no such token.
 */
ssize_t tandem_tokenizer_decode(const struct tandem_tokenizer *tokenizer, uint32_t id,
				uint32_t previous, char *text, size_t size);

/**
 * tandem_tokenizer_piece() - a token spelled out, to be shown
 * @tokenizer: the tokenizer
 * @id: the token
 * @text: where to put the bytes; no NUL follows them
 * @size: room in @text; tandem_tokenizer_piece_max() always suffices
 *
 * As tandem_tokenizer_decode(), but control tokens and the unknown one are spelled
 * as in the vocabulary, and no space is dropped.
 *
 * Return: number of bytes; -ENOSPC more than @size, nothing is written;
 * -EINVAL no such token.
 */
ssize_t tandem_tokenizer_piece(const struct tandem_tokenizer *tokenizer, uint32_t id, char *text,
			       size_t size);

/**
 * tandem_tokenizer_piece_max() - bytes of the longest text of a token, or more
 * @tokenizer: the tokenizer
 */
size_t tandem_tokenizer_piece_max(const struct tandem_tokenizer *tokenizer);

/* Bytes that a stream may hold back. */
#define TANDEM_TEXT_STREAM_HELD_MAX	3

/**
 * struct tandem_text_stream - text that comes token by token
 * @previous: the last token, or TANDEM_TOKEN_NONE
 * @held_bytes: how many bytes of a character have come that is not whole yet
 * @held: those
 *
 * The caller's, for one text at a time; only the functions below touch it.
 */
struct tandem_text_stream {
	uint32_t previous;
	uint32_t held_bytes;
	char held[TANDEM_TEXT_STREAM_HELD_MAX + 1];
};

/**
 * tandem_text_stream_begin() - begin a text
 * @stream: the stream; nothing has to be freed afterwards
 */
void tandem_text_stream_begin(struct tandem_text_stream *stream);

/**
 * tandem_text_stream_put() - the text that one more token brings
 * @stream: the stream
 * @tokenizer: the tokenizer, the same for all of a text
 * @id: the token
 * @text: where to put the bytes; no NUL follows them
 * @size: room in @text; tandem_tokenizer_piece_max() +
 *	TANDEM_TEXT_STREAM_HELD_MAX always suffice
 *
 * As tandem_tokenizer_decode(), but a character that is not whole yet is held
 * back until it is, or until it turns out not to become one. Bytes that are not
 * UTF-8 pass as they are.
 *
 * Return: number of bytes; -ENOSPC more than @size, or -EINVAL no such token: then
 * the stream is as it was.
 */
ssize_t tandem_text_stream_put(struct tandem_text_stream *stream,
			       const struct tandem_tokenizer *tokenizer, uint32_t id, char *text,
			       size_t size);

/**
 * tandem_text_stream_end() - what has been held back, at the end of a text
 * @stream: the stream; begins anew
 * @text: where to put the bytes, which are no whole character
 * @size: room in @text; TANDEM_TEXT_STREAM_HELD_MAX always suffices
 *
 * Return: number of bytes; -ENOSPC more than @size.
 */
ssize_t tandem_text_stream_end(struct tandem_text_stream *stream, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_TOKENIZER_H */
