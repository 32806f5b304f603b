/* SPDX-License-Identifier: MIT */
/*
 * A device with a model in its memory, and programs for it.
 */
#ifndef TEST_FIRMWARE_BENCH_H
#define TEST_FIRMWARE_BENCH_H

#include "driver.h"
#include "tiny_model.h"

/* Regions of context 0. */
enum {
	BENCH_MODEL = 1,
	BENCH_WEIGHTS,
	BENCH_HIDDEN,
	BENCH_KV,
	BENCH_OUTPUT,
	BENCH_PROGRAM,
};

#define BENCH_QUEUE		1
#define BENCH_PROGRAM_BYTES	65536

struct bench {
	struct driver driver;
	struct tiny_model model;
	struct tandem_program_kv kv;
	/* What is behind the regions. */
	struct tandem_program_model *description;
	char *weights;
	float *hidden;
	char *pool;
	char *output;
	char *program;
	uint64_t hidden_bytes, pool_bytes, output_bytes, output_stride;
	uint64_t program_address;
};

/* A program in the making. The tables are the caller's. */
struct bench_forward {
	uint32_t flags;
	uint32_t layer_first, layer_count;
	const struct tandem_program_row *rows;
	uint32_t row_count;
	const struct tandem_program_sequence *sequences;
	uint32_t sequence_count;
	const uint32_t *blocks;
	uint32_t block_count;
	/* Only with SAMPLE: one for each sequence. */
	const struct tandem_program_sampling *samplings;
	const uint32_t *history;
	uint32_t history_count;
};

/* A device that runs, with room for @rows_max rows. */
void bench_open(struct bench *bench, const struct tandem_fw_config *config,
		const struct tiny_shape *shape, const struct tandem_program_kv *kv,
		uint32_t rows_max);
void bench_close(struct bench *bench);

/* Write a program to its region, of which it is the last bytes. Return: its size. */
uint32_t bench_write(struct bench *bench, const struct bench_forward *forward);

/* The program that was written. */
struct tandem_program_forward *bench_program(struct bench *bench, uint32_t size);

/* EXEC of a program of that size. */
struct tandem_hw_descriptor bench_exec(struct bench *bench, uint32_t size);
struct tandem_hw_completion bench_run(struct bench *bench, uint32_t size);

/* Write and run a program that has to succeed. */
void bench_forward(struct bench *bench, const struct bench_forward *forward);

/* Output number @index. */
struct tandem_program_output *bench_output(struct bench *bench, uint32_t index);
const float *bench_logits(struct bench *bench, uint32_t index);

#endif /* TEST_FIRMWARE_BENCH_H */
