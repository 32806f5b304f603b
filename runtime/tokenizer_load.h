/* SPDX-License-Identifier: MIT */
/*
 * Filling a tokenizer from a model file, in steps. For tokenizer.c only.
 */
#ifndef TANDEM_RUNTIME_TOKENIZER_LOAD_H
#define TANDEM_RUNTIME_TOKENIZER_LOAD_H

#include "gguf.h"
#include "tokenizer_vocabulary.h"

/**
 * tandem_tokenizer_load_tokens() - fill in tokens, special ids and options
 * @tokenizer: all zero but for @kind and @pretokenizer
 * @file: the file
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -ENOENT a key is missing; -EINVAL keys do not hold together;
 * -ENOMEM. What has been allocated stays in @tokenizer.
 */
int tandem_tokenizer_load_tokens(struct tandem_tokenizer *tokenizer,
				 const struct tandem_gguf *file, struct tandem_error *error);

/**
 * tandem_tokenizer_load_byte_level() - what only byte-level vocabularies have
 * @tokenizer: has its tokens, none of them found by text yet
 * @file: the file
 * @error: filled in on failure; may be NULL
 *
 * Turns the texts of normal tokens into bytes, has them found and reads the
 * merges.
 *
 * Return: as tandem_tokenizer_load_tokens().
 */
int tandem_tokenizer_load_byte_level(struct tandem_tokenizer *tokenizer,
				     const struct tandem_gguf *file, struct tandem_error *error);

#endif /* TANDEM_RUNTIME_TOKENIZER_LOAD_H */
