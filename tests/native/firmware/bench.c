// SPDX-License-Identifier: MIT
/* A device with a model in its memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"
#include "kernels/types.h"

#define READ	(TANDEM_HW_REGION_VALID | TANDEM_HW_REGION_READ)
#define WRITE	(TANDEM_HW_REGION_VALID | TANDEM_HW_REGION_WRITE)

void bench_open(struct bench *bench, const struct tandem_fw_config *config,
		const struct tiny_shape *shape, const struct tandem_program_kv *kv,
		uint32_t rows_max)
{
	struct driver *d = &bench->driver;
	struct tiny_model *m = &bench->model;
	uint64_t address;

	driver_open(d, config);
	driver_enable(d);
	driver_queue_create(d, BENCH_QUEUE, TANDEM_HW_QUEUE_COMPUTE, 4);
	tiny_model_create(m, shape, 12345);

	address = driver_memory(d, m->description_bytes, &bench->description);
	memcpy(bench->description, m->description, m->description_bytes);
	driver_region(d, 0, BENCH_MODEL, address, m->description_bytes, READ);
	address = driver_memory(d, m->weights_bytes, &bench->weights);
	memcpy(bench->weights, m->weights, m->weights_bytes);
	driver_region(d, 0, BENCH_WEIGHTS, address, m->weights_bytes, READ);

	bench->kv = *kv;
	bench->kv.layers = shape->layers;
	bench->hidden_bytes = (uint64_t)rows_max * shape->dim * sizeof(float);
	bench->pool_bytes = 2ull * kv->block_tokens * kv->blocks * shape->layers *
			    tandem_type_row_bytes(kv->type, shape->kv_heads * shape->head_dim);
	bench->output_stride = (sizeof(struct tandem_program_output) +
				shape->vocabulary * sizeof(float) + 15) / 16 * 16;
	bench->output_bytes = (rows_max - 1) * bench->output_stride +
			      sizeof(struct tandem_program_output) +
			      shape->vocabulary * sizeof(float);
	address = driver_memory(d, bench->hidden_bytes, &bench->hidden);
	driver_region(d, 0, BENCH_HIDDEN, address, bench->hidden_bytes, READ | WRITE);
	address = driver_memory(d, bench->pool_bytes, &bench->pool);
	driver_region(d, 0, BENCH_KV, address, bench->pool_bytes, READ | WRITE);
	address = driver_memory(d, bench->output_bytes, &bench->output);
	driver_region(d, 0, BENCH_OUTPUT, address, bench->output_bytes, WRITE);
	bench->program_address = driver_memory(d, BENCH_PROGRAM_BYTES, &bench->program);
}

void bench_close(struct bench *bench)
{
	driver_close(&bench->driver);
	tiny_model_free(&bench->model);
}

/* Place a table, which begins on a multiple of 8. Return: where. */
static uint32_t place(uint32_t *end, uint32_t entries, size_t entry_bytes)
{
	const uint32_t offset = (*end + 7) / 8 * 8;

	*end = offset + entries * (uint32_t)entry_bytes;
	return offset;
}

uint32_t bench_write(struct bench *bench, const struct bench_forward *forward)
{
	struct tandem_program_forward p = {
		.header = {
			.magic = TANDEM_PROGRAM_MAGIC,
			.version = TANDEM_PROGRAM_VERSION,
			.operation = TANDEM_PROGRAM_FORWARD,
			.flags = forward->flags,
		},
		.model = { BENCH_MODEL, 0, 0, bench->model.description_bytes },
		.weights = { BENCH_WEIGHTS, 0, 0, bench->model.weights_bytes },
		.hidden = { BENCH_HIDDEN, 0, 0, bench->hidden_bytes },
		.kv_pool = { BENCH_KV, 0, 0, bench->pool_bytes },
		.output = { BENCH_OUTPUT, 0, 0, bench->output_bytes },
		.kv = bench->kv,
		.layer_first = forward->layer_first,
		.layer_count = forward->layer_count,
		.rows = forward->row_count,
		.sequences = forward->sequence_count,
		.blocks = forward->block_count,
		.output_stride = bench->output_stride,
	};
	uint32_t at = sizeof(p);
	char *to;

	p.rows_offset = place(&at, forward->row_count, sizeof(*forward->rows));
	p.sequences_offset = place(&at, forward->sequence_count, sizeof(*forward->sequences));
	if (forward->flags & TANDEM_FORWARD_SAMPLE) {
		p.history = forward->history_count;
		p.samplings_offset = place(&at, forward->sequence_count,
					   sizeof(*forward->samplings));
		p.history_offset = place(&at, forward->history_count, sizeof(*forward->history));
	}
	p.blocks_offset = place(&at, forward->block_count, sizeof(*forward->blocks));
	p.header.size = at;
	assert_true(at <= BENCH_PROGRAM_BYTES);

	to = bench->program + BENCH_PROGRAM_BYTES - at;
	memcpy(to, &p, sizeof(p));
	memcpy(to + p.rows_offset, forward->rows,
	       forward->row_count * sizeof(*forward->rows));
	memcpy(to + p.sequences_offset, forward->sequences,
	       forward->sequence_count * sizeof(*forward->sequences));
	memcpy(to + p.blocks_offset, forward->blocks,
	       forward->block_count * sizeof(*forward->blocks));
	if (forward->flags & TANDEM_FORWARD_SAMPLE) {
		memcpy(to + p.samplings_offset, forward->samplings,
		       forward->sequence_count * sizeof(*forward->samplings));
		if (forward->history_count)
			memcpy(to + p.history_offset, forward->history,
			       forward->history_count * sizeof(*forward->history));
	}
	driver_region(&bench->driver, 0, BENCH_PROGRAM,
		      bench->program_address + BENCH_PROGRAM_BYTES - at, at, READ);
	return at;
}

struct tandem_program_forward *bench_program(struct bench *bench, uint32_t size)
{
	return (void *)(bench->program + BENCH_PROGRAM_BYTES - size);
}

struct tandem_hw_descriptor bench_exec(struct bench *bench, uint32_t size)
{
	(void)bench;
	return (struct tandem_hw_descriptor){
		.opcode = TANDEM_HW_OP_EXEC, .command_id = 0x55,
		.src_region = BENCH_PROGRAM, .length = size,
	};
}

struct tandem_hw_completion bench_run(struct bench *bench, uint32_t size)
{
	struct tandem_hw_descriptor exec = bench_exec(bench, size);

	return driver_run(&bench->driver, BENCH_QUEUE, &exec);
}

void bench_forward(struct bench *bench, const struct bench_forward *forward)
{
	struct tandem_hw_completion got = bench_run(bench, bench_write(bench, forward));

	if (got.status != TANDEM_HW_OK)
		fail_msg("status %u, detail %u", got.status, got.detail);
}

struct tandem_program_output *bench_output(struct bench *bench, uint32_t index)
{
	return (void *)(bench->output + index * bench->output_stride);
}

const float *bench_logits(struct bench *bench, uint32_t index)
{
	return (const float *)(bench_output(bench, index) + 1);
}
