/* SPDX-License-Identifier: MIT */
/*
 * How a model turns its heads by the position.
 */
#ifndef TANDEM_RUNTIME_MODEL_ROPE_H
#define TANDEM_RUNTIME_MODEL_ROPE_H

#include "model.h"

/**
 * model_read_rope() - fill in what begins with rope_
 * @model: with its shape
 * @error: filled in on failure; may be NULL
 *
 * Scaling is none, linear (Chen et al., "Extending Context Window of Large Language
 * Models via Positional Interpolation", 2023), YaRN (Peng et al., "YaRN: Efficient
 * Context Window Extension of Large Language Models", 2023), or by the divisors
 * in tensor rope_freqs.weight, as files of Llama 3 have it.
 *
 * Return: 0; -EINVAL does not hold together; -EOPNOTSUPP another kind; -ENOMEM.
 */
int model_read_rope(struct tandem_model *model, struct tandem_error *error);

#endif /* TANDEM_RUNTIME_MODEL_ROPE_H */
