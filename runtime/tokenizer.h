/* SPDX-License-Identifier: MIT */
/*
 * Making the tokenizer of an open model file.
 */
#ifndef TANDEM_RUNTIME_TOKENIZER_H
#define TANDEM_RUNTIME_TOKENIZER_H

#include <tandem/tokenizer.h>

#include "gguf.h"

/**
 * tandem_tokenizer_create() - make the tokenizer of a model file
 * @file: the file; not needed any more afterwards
 * @tokenizer: where to put it; free it with tandem_tokenizer_destroy()
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EOPNOTSUPP a kind of tokenizer that is not built; -ENOENT a key
 * is missing; -EINVAL keys do not hold together; -ENOMEM.
 */
int tandem_tokenizer_create(const struct tandem_gguf *file, struct tandem_tokenizer **tokenizer,
			    struct tandem_error *error);

#endif /* TANDEM_RUNTIME_TOKENIZER_H */
