/* SPDX-License-Identifier: MIT */
/*
 * Pre-tokenizers: how text falls into pieces that merges do not cross.
 */
#ifndef TANDEM_RUNTIME_TOKENIZER_PRETOKENIZER_H
#define TANDEM_RUNTIME_TOKENIZER_PRETOKENIZER_H

#include <stdbool.h>
#include <stddef.h>

struct tandem_pretokenizer;

/**
 * tandem_pretokenizer_create() - make a pre-tokenizer
 * @name: as in tokenizer.ggml.pre
 * @length: bytes of @name
 * @pretokenizer: where to put it. Nothing of it changes afterwards, so that
 *	threads may share it
 *
 * Return: 0; -EOPNOTSUPP none of that name is built; -ENOMEM.
 */
int tandem_pretokenizer_create(const char *name, size_t length,
			       struct tandem_pretokenizer **pretokenizer);

/**
 * tandem_pretokenizer_destroy() - free a pre-tokenizer
 * @pretokenizer: may be NULL
 */
void tandem_pretokenizer_destroy(struct tandem_pretokenizer *pretokenizer);

/**
 * tandem_pretokenizer_ignores_merges() - whether a piece that is a token stays so
 * @pretokenizer: the pre-tokenizer
 *
 * Return: true: even if merges would not lead to that token.
 */
bool tandem_pretokenizer_ignores_merges(const struct tandem_pretokenizer *pretokenizer);

/**
 * tandem_pretokenizer_adds_bos() - whether models that use it begin with BOS
 * @pretokenizer: the pre-tokenizer
 *
 * For files that do not say.
 */
bool tandem_pretokenizer_adds_bos(const struct tandem_pretokenizer *pretokenizer);

/**
 * tandem_pretokenizer_split() - take a text apart
 * @pretokenizer: the pre-tokenizer
 * @text: any bytes; one that is no part of a valid character counts as U+FFFD
 * @length: bytes of @text
 * @take: gets the pieces in order, none of them empty, all of @text together;
 *	what it returns ends the split unless it is 0
 * @context: for @take
 *
 * Return: 0; -ENOMEM; or what @take returned.
 */
int tandem_pretokenizer_split(const struct tandem_pretokenizer *pretokenizer, const char *text,
			      size_t length,
			      int (*take)(void *context, const char *piece, size_t length),
			      void *context);

#endif /* TANDEM_RUNTIME_TOKENIZER_PRETOKENIZER_H */
