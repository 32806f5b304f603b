/* SPDX-License-Identifier: MIT */
/*
 * The model description of a program.
 */
#ifndef TANDEM_FIRMWARE_MODEL_H
#define TANDEM_FIRMWARE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <tandem_program.h>

/* Layers that a model may have. */
#define FW_LAYERS_MAX		4096

/* The longest description, in bytes. */
#define FW_MODEL_BYTES_MAX	(sizeof(struct tandem_program_model) + \
				 FW_LAYERS_MAX * sizeof(struct tandem_program_layer))

/**
 * fw_model_check() - does a description hold together?
 * @model: a private copy
 * @length: bytes of it, as many as the program refers to up to
 *	%FW_MODEL_BYTES_MAX
 * @weights_length: bytes of the range that its tensors lie in
 *
 * Afterwards sizes of tensors, and products of a few dimensions, do not
 * overflow 64 bits, and every tensor lies within the weights.
 *
 * Return: 0 or &enum tandem_program_error.
 */
uint32_t fw_model_check(const struct tandem_program_model *model, uint64_t length,
			uint64_t weights_length);

/* A member that holds the bits of a binary32. */
float fw_model_float(uint32_t bits);

static inline uint64_t fw_model_query_dim(const struct tandem_program_model *model)
{
	return (uint64_t)model->heads * model->head_dim;
}

static inline uint64_t fw_model_kv_dim(const struct tandem_program_model *model)
{
	return (uint64_t)model->kv_heads * model->head_dim;
}

#endif /* TANDEM_FIRMWARE_MODEL_H */
