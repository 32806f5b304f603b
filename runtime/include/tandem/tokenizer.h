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
 * tandem_tokenizer_add_bos() - whether prompts of this model begin with BOS
 * @tokenizer: the tokenizer
 *
 * Return: what the model file says, which is yes where it says nothing and
 * there is a BOS.
 */
bool tandem_tokenizer_add_bos(const struct tandem_tokenizer *tokenizer);

/**
 * tandem_tokenizer_encode() - turn text into tokens
 * @tokenizer: the tokenizer
 * @text: any bytes; NUL and invalid UTF-8 are taken as they are, byte by byte
 * @length: bytes of @text, at most TANDEM_TOKENIZER_TEXT_MAX
 * @add_bos: whether to begin with BOS
 * @ids: where to put the tokens, or NULL to count them only
 * @capacity: room in @ids; length + 4 suffices with the usual vocabularies, 3 *
 *	length + 4 with any
 *
 * All of @text is plain text: no part of it becomes a control token or one that
 * the user of the model defined, even if it is spelled like one. U+2581 and the
 * space are the same to such a vocabulary, and come back as a space. An empty
 * text has no token but BOS.
 *
 * Return: number of tokens; -ENOSPC more than @capacity (nothing in @ids is to
 * be used); -E2BIG the text is too long; -EINVAL @add_bos, and there is no BOS;
 * -ENOMEM.
 */
ssize_t tandem_tokenizer_encode(const struct tandem_tokenizer *tokenizer, const char *text,
				size_t length, bool add_bos, uint32_t *ids, size_t capacity);

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
 * UTF-8 at all if the model so chooses. Control tokens have no bytes, the
 * unknown token has U+FFFD. At the start of a text (first, or after BOS) the
 * space that tandem_tokenizer_encode() puts in front is dropped.
 *
 * Return: number of bytes; -ENOSPC more than @size, nothing is written;
 * -EINVAL no such token.
 */
ssize_t tandem_tokenizer_decode(const struct tandem_tokenizer *tokenizer, uint32_t id,
				uint32_t previous, char *text, size_t size);

/**
 * tandem_tokenizer_piece_max() - bytes of the longest text of a token, or more
 * @tokenizer: the tokenizer
 */
size_t tandem_tokenizer_piece_max(const struct tandem_tokenizer *tokenizer);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_TOKENIZER_H */
