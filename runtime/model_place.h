/* SPDX-License-Identifier: MIT */
/*
 * A model as it lies in a device's memory: [description][tensor][tensor]….
 */
#ifndef TANDEM_RUNTIME_MODEL_PLACE_H
#define TANDEM_RUNTIME_MODEL_PLACE_H

#include <stdint.h>

#include <xxhash.h>

#include "model.h"

struct tandem_program_model;

/* Bytes of the description. */
uint64_t model_description_bytes(const struct tandem_model *model);

/**
 * model_describe() - fill in the description, and say where each tensor goes
 * @model: the model
 * @description: zeroed, model_description_bytes() long
 *
 * Return: bytes of it all, from the description's first one.
 */
uint64_t model_describe(const struct tandem_model *model,
			struct tandem_program_model *description);

/**
 * struct model_progress - how far loading is
 * @content: of XXH3 with 128 bits; takes in divisors of frequencies and all tensors,
 *	in the order in which they are put in place
 * @told: called after each piece with the bytes that are in place, of all tensors;
 *	may be NULL
 * @user: passed on
 * @done: bytes
 */
struct model_progress {
	XXH3_state_t *content;
	void (*told)(void *user, uint64_t done, uint64_t total);
	void *user;
	uint64_t done;
};

/**
 * model_load_tensors() - read all tensors from the file into place
 * @model: the model
 * @description: from model_describe()
 * @base: where the description goes, as many bytes as model_describe() said; may be
 *	mapped device memory
 * @progress: from nothing
 * @error: filled in on failure; may be NULL
 *
 * Return: as tandem_gguf_read().
 */
int model_load_tensors(const struct tandem_model *model,
		       const struct tandem_program_model *description, unsigned char *base,
		       struct model_progress *progress, struct tandem_error *error);

#endif /* TANDEM_RUNTIME_MODEL_PLACE_H */
