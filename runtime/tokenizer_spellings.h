/* SPDX-License-Identifier: MIT */
/*
 * Tokens that are spelled out in text, such as "<|endoftext|>".
 */
#ifndef TANDEM_RUNTIME_TOKENIZER_SPELLINGS_H
#define TANDEM_RUNTIME_TOKENIZER_SPELLINGS_H

#include "tokenizer_vocabulary.h"

/* Longer ones are not looked for, so that a search stays linear in the text. */
#define TANDEM_SPELLING_BYTES_MAX	1024

/**
 * tandem_spellings_create() - collect the tokens that may be spelled out
 * @tokenizer: its tokens are final; gets the result
 *
 * Return: 0, or -ENOMEM.
 */
int tandem_spellings_create(struct tandem_tokenizer *tokenizer);

/**
 * tandem_spellings_destroy() - free them
 * @spellings: may be NULL
 */
void tandem_spellings_destroy(struct tandem_spellings *spellings);

/**
 * tandem_spellings_next() - find the next token that is spelled out
 * @tokenizer: the tokenizer
 * @flags: of tandem_tokenizer_encode(); say which tokens count
 * @text: where to begin
 * @length: bytes from there on
 * @start: where to put where its text begins, @length if there is none
 *
 * The first, and of those that begin at the same place the longest.
 *
 * Return: its id, or TANDEM_TOKEN_NONE.
 */
uint32_t tandem_spellings_next(const struct tandem_tokenizer *tokenizer, unsigned int flags,
			       const char *text, size_t length, size_t *start);

#endif /* TANDEM_RUNTIME_TOKENIZER_SPELLINGS_H */
