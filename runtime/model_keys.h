/* SPDX-License-Identifier: MIT */
/*
 * The metadata of a model: keys that begin with the name of its architecture.
 */
#ifndef TANDEM_RUNTIME_MODEL_KEYS_H
#define TANDEM_RUNTIME_MODEL_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "gguf.h"
#include "model.h"

/**
 * model_find_architecture() - which architecture the file is of
 * @model: @file is open; @architecture and the names of @info are filled in
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EINVAL; -EOPNOTSUPP one that is not built.
 */
int model_find_architecture(struct tandem_model *model, struct tandem_error *error);

/**
 * model_refuse_unknown_keys() - no key may be there that nobody looks at
 * @model: with its architecture
 * @error: filled in on failure; may be NULL
 *
 * A key of the architecture that is not known might change the result.
 *
 * Return: 0, -EOPNOTSUPP.
 */
int model_refuse_unknown_keys(const struct tandem_model *model, struct tandem_error *error);

/* The functions of gguf.h, for "<architecture>.@name". */
bool model_has(const struct tandem_model *model, const char *name);
int model_u32(const struct tandem_model *model, const char *name, uint32_t *value,
	      struct tandem_error *error);
int model_u32_or(const struct tandem_model *model, const char *name, uint32_t fallback,
		 uint32_t *value, struct tandem_error *error);
int model_f32(const struct tandem_model *model, const char *name, float *value,
	      struct tandem_error *error);
int model_f32_or(const struct tandem_model *model, const char *name, float fallback, float *value,
		 struct tandem_error *error);
int model_bool_or(const struct tandem_model *model, const char *name, bool fallback, bool *value,
		  struct tandem_error *error);
int model_string(const struct tandem_model *model, const char *name,
		 struct tandem_gguf_string *value, struct tandem_error *error);

/* A value that is there, but not built; @what says of what it is. Return: -EOPNOTSUPP. */
int model_refuse_value(const struct tandem_model *model, const char *name, const char *what,
		       struct tandem_error *error);

#endif /* TANDEM_RUNTIME_MODEL_KEYS_H */
