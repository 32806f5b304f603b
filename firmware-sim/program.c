// SPDX-License-Identifier: MIT
/* Programs. */
#include <stdbool.h>
#include <string.h>

#include "device.h"
#include "model.h"
#include "program.h"

#define FLAGS	(TANDEM_FORWARD_EMBED | TANDEM_FORWARD_OUTPUT | TANDEM_FORWARD_LOGITS | \
		 TANDEM_FORWARD_SAMPLE)

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint32_t invalid(struct fw_result *result, uint32_t error)
{
	result->detail = error;
	return error ? TANDEM_HW_PROGRAM_INVALID : TANDEM_HW_OK;
}

/* Copy a range in, of any alignment. */
static uint32_t copy_in(struct tandem_fw *fw, const struct fw_range *range, uint64_t length,
			struct fw_buffer *buffer, struct fw_budget *budget)
{
	if (!fw_buffer_reserve(buffer, length, budget))
		return TANDEM_HW_NO_MEMORY;
	if (fw_copy_guarded(fw, buffer->data, range->pointer, length))
		return TANDEM_HW_BUS_FAULT;
	return TANDEM_HW_OK;
}

static uint32_t check_header(const struct tandem_program_forward *p, uint64_t length)
{
	const struct tandem_program_header *header = &p->header;

	if (length < sizeof(*header))
		return TANDEM_PROGRAM_BAD_HEADER;
	if (header->magic != TANDEM_PROGRAM_MAGIC ||
	    header->version != TANDEM_PROGRAM_VERSION ||
	    header->operation != TANDEM_PROGRAM_FORWARD)
		return TANDEM_PROGRAM_BAD_HEADER;
	if (header->size > length || header->size < sizeof(*p))
		return TANDEM_PROGRAM_BAD_HEADER;
	return 0;
}

static uint32_t check_reference(const struct tandem_program_reference *reference)
{
	if (reference->reserved || reference->offset % 64)
		return TANDEM_PROGRAM_BAD_FIELD;
	return 0;
}

/* What can be said without the model. */
static uint32_t check_fields(const struct tandem_program_forward *p)
{
	const uint32_t flags = p->header.flags;

	if (flags & ~FLAGS)
		return TANDEM_PROGRAM_BAD_FIELD;
	if ((flags & (TANDEM_FORWARD_LOGITS | TANDEM_FORWARD_SAMPLE)) &&
	    !(flags & TANDEM_FORWARD_OUTPUT))
		return TANDEM_PROGRAM_BAD_FIELD;
	if (!(flags & TANDEM_FORWARD_SAMPLE) &&
	    (p->history || p->samplings_offset || p->history_offset))
		return TANDEM_PROGRAM_BAD_FIELD;
	if (check_reference(&p->model) || check_reference(&p->weights) ||
	    check_reference(&p->hidden) || check_reference(&p->kv_pool) ||
	    check_reference(&p->output))
		return TANDEM_PROGRAM_BAD_FIELD;
	if (!tandem_type_kv_valid(p->kv.type) || !p->kv.block_tokens || !p->kv.blocks)
		return TANDEM_PROGRAM_BAD_FIELD;
	if (!p->rows || p->rows_offset % 8 || p->sequences_offset % 8 ||
	    p->blocks_offset % 8 || p->samplings_offset % 8 || p->history_offset % 8 ||
	    p->output_stride % 16)
		return TANDEM_PROGRAM_BAD_FIELD;
	return 0;
}

static bool table_fits(const struct tandem_program_forward *p, uint64_t offset,
		       uint64_t entries, uint64_t entry_bytes)
{
	/* Neither sum nor product overflows: all are below 2^32. */
	return offset >= sizeof(*p) && offset + entries * entry_bytes <= p->header.size;
}

static bool within(uint32_t bits, float least, float most)
{
	const float value = fw_model_float(bits);

	/* A NaN is not. */
	return value >= least && value <= most;
}

static uint32_t check_sampling(const struct tandem_program_forward *p,
			       const struct tandem_program_sampling *sampling)
{
	if (!within(sampling->temperature, 0, 1e6f) || !within(sampling->top_p, 0, 1) ||
	    !fw_model_float(sampling->top_p) || !within(sampling->min_p, 0, 1) ||
	    !within(sampling->repeat_penalty, 0.01f, 100) || sampling->reserved ||
	    sampling->history_count > TANDEM_PROGRAM_HISTORY_MAX)
		return TANDEM_PROGRAM_BAD_FIELD;
	if ((uint64_t)sampling->first_history + sampling->history_count > p->history)
		return TANDEM_PROGRAM_BAD_TABLE;
	return 0;
}

static uint32_t check_samplings(struct fw_forward *forward)
{
	const struct tandem_program_forward *p = forward->header;
	const char *base = (const char *)p;
	uint32_t error = 0;

	if (!(p->header.flags & TANDEM_FORWARD_SAMPLE))
		return 0;
	if (!table_fits(p, p->samplings_offset, p->sequences, sizeof(*forward->samplings)) ||
	    !table_fits(p, p->history_offset, p->history, sizeof(*forward->history)))
		return TANDEM_PROGRAM_BAD_TABLE;
	forward->samplings = (const void *)(base + p->samplings_offset);
	forward->history = (const void *)(base + p->history_offset);
	for (uint32_t i = 0; i < p->sequences && !error; i++)
		error = check_sampling(p, &forward->samplings[i]);
	return error;
}

static uint32_t check_tables(struct fw_forward *forward)
{
	const struct tandem_program_forward *p = forward->header;
	const char *base = (const char *)p;

	if (!table_fits(p, p->rows_offset, p->rows, sizeof(*forward->rows)) ||
	    !table_fits(p, p->sequences_offset, p->sequences, sizeof(*forward->sequences)) ||
	    !table_fits(p, p->blocks_offset, p->blocks, sizeof(*forward->blocks)))
		return TANDEM_PROGRAM_BAD_TABLE;
	forward->rows = (const void *)(base + p->rows_offset);
	forward->sequences = (const void *)(base + p->sequences_offset);
	forward->blocks = (const void *)(base + p->blocks_offset);

	for (uint32_t i = 0; i < p->sequences; i++) {
		const struct tandem_program_sequence *sequence = &forward->sequences[i];

		if ((uint64_t)sequence->first_block + sequence->block_count > p->blocks)
			return TANDEM_PROGRAM_BAD_TABLE;
	}
	for (uint32_t i = 0; i < p->blocks; i++)
		if (forward->blocks[i] >= p->kv.blocks)
			return TANDEM_PROGRAM_BAD_TABLE;
	return check_samplings(forward);
}

/* @next: for each sequence the position after that of its last row; 0 at first */
static uint32_t check_row(const struct fw_forward *forward,
			  const struct tandem_program_row *row, uint32_t *next)
{
	const struct tandem_program_forward *p = forward->header;
	const struct tandem_program_sequence *sequence;

	if (row->flags & ~TANDEM_ROW_OUTPUT)
		return TANDEM_PROGRAM_BAD_FIELD;
	if ((p->header.flags & TANDEM_FORWARD_EMBED) &&
	    row->token >= forward->model->vocabulary)
		return TANDEM_PROGRAM_BAD_FIELD;
	if (row->position >= forward->model->context)
		return TANDEM_PROGRAM_BAD_FIELD;
	if (row->sequence >= p->sequences)
		return TANDEM_PROGRAM_BAD_TABLE;
	sequence = &forward->sequences[row->sequence];
	if (row->position / p->kv.block_tokens >= sequence->block_count)
		return TANDEM_PROGRAM_BAD_TABLE;
	if (next[row->sequence] && next[row->sequence] != row->position)
		return TANDEM_PROGRAM_BAD_TABLE;
	next[row->sequence] = row->position + 1;
	return 0;
}

static uint32_t check_rows(struct fw_forward *forward, struct fw_program_memory *memory,
			   struct fw_result *result)
{
	const struct tandem_program_forward *p = forward->header;
	uint64_t bytes = (uint64_t)p->sequences * sizeof(uint32_t);
	uint32_t *next, error;

	if (!fw_buffer_reserve(&memory->positions, bytes, memory->budget))
		return TANDEM_HW_NO_MEMORY;
	next = memory->positions.data;
	if (bytes)
		memset(next, 0, bytes);
	for (uint32_t i = 0; i < p->rows; i++) {
		error = check_row(forward, &forward->rows[i], next);
		if (error)
			return invalid(result, error);
		if (forward->rows[i].flags & TANDEM_ROW_OUTPUT)
			forward->outputs++;
	}
	return TANDEM_HW_OK;
}

/* Bytes of the whole pool; the largest number there is when they do not fit. */
static uint64_t pool_bytes(struct fw_forward *forward)
{
	const struct tandem_program_kv *kv = &forward->header->kv;
	uint64_t bytes;

	forward->block_bytes = tandem_kernel_kv_block_bytes(kv->type,
							    fw_model_kv_dim(forward->model),
							    kv->block_tokens);
	if (!forward->block_bytes ||
	    __builtin_mul_overflow(forward->block_bytes, kv->blocks, &bytes) ||
	    __builtin_mul_overflow(bytes, kv->layers, &bytes))
		return UINT64_MAX;
	return bytes;
}

/* How programs that pass use their references; 0 for one that is not used. */
struct needs {
	uint64_t hidden;
	uint64_t kv_pool;
	uint64_t output;
};

static uint32_t check_against_model(struct fw_forward *forward, struct needs *needs)
{
	const struct tandem_program_forward *p = forward->header;
	const struct tandem_program_model *model = forward->model;
	uint64_t entry = sizeof(struct tandem_program_output);

	if (model->head_dim % tandem_type_block(p->kv.type))
		return TANDEM_PROGRAM_BAD_FIELD;
	for (uint32_t i = 0; i < p->history; i++)
		if (forward->history[i] >= model->vocabulary)
			return TANDEM_PROGRAM_BAD_FIELD;
	if (p->kv.layers != model->layers || p->layer_first > model->layers ||
	    p->layer_count > model->layers - p->layer_first)
		return TANDEM_PROGRAM_BAD_FIELD;
	if (p->header.flags & TANDEM_FORWARD_LOGITS)
		entry += (uint64_t)model->vocabulary * sizeof(float);
	if ((p->header.flags & TANDEM_FORWARD_OUTPUT) && p->output_stride < entry)
		return TANDEM_PROGRAM_BAD_FIELD;

	needs->hidden = (uint64_t)p->rows * model->dim * sizeof(float);
	needs->kv_pool = p->layer_count ? pool_bytes(forward) : 0;
	needs->output = 0;
	if ((p->header.flags & TANDEM_FORWARD_OUTPUT) && forward->outputs)
		needs->output = (uint64_t)(forward->outputs - 1) * p->output_stride + entry;
	if (p->hidden.length < needs->hidden || p->kv_pool.length < needs->kv_pool ||
	    p->output.length < needs->output)
		return TANDEM_PROGRAM_BAD_REFERENCE;
	return 0;
}

/* Find the memory of a reference, which the kernels use where it lies. */
static uint32_t resolve(struct tandem_fw *fw, const struct fw_context *context,
			const struct tandem_program_reference *reference, uint64_t length,
			uint32_t access, struct fw_range *range, struct fw_result *result)
{
	uint32_t status;

	status = fw_region_resolve(fw, context, reference->region, reference->offset, length,
				   access, range);
	if (status != TANDEM_HW_OK) {
		result->detail = reference->region;
		return status;
	}
	if (range->address % 64)
		return invalid(result, TANDEM_PROGRAM_BAD_REFERENCE);
	return TANDEM_HW_OK;
}

static uint32_t load_model(struct tandem_fw *fw, const struct fw_context *context,
			   struct fw_program_memory *memory, struct fw_forward *forward,
			   struct fw_result *result)
{
	const struct tandem_program_reference *reference = &forward->header->model;
	uint64_t length = smaller(reference->length, FW_MODEL_BYTES_MAX);
	struct fw_range range;
	uint32_t status;

	if (length < sizeof(*forward->model))
		return invalid(result, TANDEM_PROGRAM_BAD_REFERENCE);
	status = fw_region_resolve(fw, context, reference->region, reference->offset, length,
				   TANDEM_HW_REGION_READ, &range);
	if (status != TANDEM_HW_OK) {
		result->detail = reference->region;
		return status;
	}
	status = copy_in(fw, &range, length, &memory->model, memory->budget);
	if (status != TANDEM_HW_OK)
		return status;
	forward->model = memory->model.data;
	return invalid(result, fw_model_check(forward->model, length,
					      forward->header->weights.length));
}

static uint32_t resolve_all(struct tandem_fw *fw, const struct fw_context *context,
			    struct fw_forward *forward, const struct needs *needs,
			    struct fw_result *result)
{
	const struct tandem_program_forward *p = forward->header;
	const bool embed = p->header.flags & TANDEM_FORWARD_EMBED;
	uint32_t status;

	if (embed || p->layer_count || needs->output) {
		status = resolve(fw, context, &p->weights, p->weights.length,
				 TANDEM_HW_REGION_READ, &forward->weights, result);
		if (status != TANDEM_HW_OK)
			return status;
	}
	status = resolve(fw, context, &p->hidden, needs->hidden,
			 TANDEM_HW_REGION_WRITE | (embed ? 0 : TANDEM_HW_REGION_READ),
			 &forward->hidden, result);
	if (status != TANDEM_HW_OK)
		return status;
	if (needs->kv_pool) {
		status = resolve(fw, context, &p->kv_pool, needs->kv_pool,
				 TANDEM_HW_REGION_READ | TANDEM_HW_REGION_WRITE,
				 &forward->kv_pool, result);
		if (status != TANDEM_HW_OK)
			return status;
	}
	if (needs->output)
		return resolve(fw, context, &p->output, needs->output,
			       TANDEM_HW_REGION_WRITE, &forward->output, result);
	return TANDEM_HW_OK;
}

uint32_t fw_program_load(struct tandem_fw *fw, const struct fw_context *context,
			 const struct fw_range *range, struct fw_program_memory *memory,
			 struct fw_forward *forward, struct fw_result *result)
{
	uint64_t length = smaller(range->length, TANDEM_PROGRAM_BYTES_MAX);
	struct needs needs;
	uint32_t status, error;

	memset(forward, 0, sizeof(*forward));
	if (length < sizeof(struct tandem_program_header))
		return invalid(result, TANDEM_PROGRAM_BAD_HEADER);
	status = copy_in(fw, range, length, &memory->program, memory->budget);
	if (status != TANDEM_HW_OK)
		return status;

	forward->header = memory->program.data;
	error = check_header(forward->header, length);
	if (!error)
		error = check_fields(forward->header);
	if (!error)
		error = check_tables(forward);
	if (error)
		return invalid(result, error);

	status = load_model(fw, context, memory, forward, result);
	if (status != TANDEM_HW_OK)
		return status;
	status = check_rows(forward, memory, result);
	if (status != TANDEM_HW_OK)
		return status;
	error = check_against_model(forward, &needs);
	if (error)
		return invalid(result, error);
	return resolve_all(fw, context, forward, &needs, result);
}
