/* SPDX-License-Identifier: MIT */
/*
 * The shape of a model, from its metadata.
 */
#ifndef TANDEM_RUNTIME_MODEL_SHAPE_H
#define TANDEM_RUNTIME_MODEL_SHAPE_H

#include "model.h"

/* The widest hidden state, well beyond any model. */
#define MODEL_WIDTH_MAX		(1u << 20)

/**
 * model_read_shape() - fill in @info, but for the vocabulary, and the norms' epsilon
 * @model: with its architecture
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EINVAL does not hold together; -EOPNOTSUPP not built.
 */
int model_read_shape(struct tandem_model *model, struct tandem_error *error);

#endif /* TANDEM_RUNTIME_MODEL_SHAPE_H */
