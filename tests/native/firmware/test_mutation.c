// SPDX-License-Identifier: MIT
/*
 * Descriptors, programs and models with random changes. Whatever the device
 * says of them, it must say it, and touch nothing that is not its own: the
 * sanitizers watch. The seed is fixed; TANDEM_TEST_SEED gives another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"

#define ROUNDS	6000
#define ROWS	5

static const struct tiny_shape shape = {
	.layers = 2, .dim = 16, .ffn_dim = 24, .heads = 4, .kv_heads = 2, .head_dim = 8,
	.rope_dim = 8, .vocabulary = 40, .context = 12, .rope_scale = 1,
	.biases = true, .head_norms = true, .rope_factors = true,
};

static const struct tandem_program_kv kv = {
	.type = TANDEM_PROGRAM_F32, .block_tokens = 2, .blocks = 4,
};

static const struct tandem_program_row rows[ROWS] = {
	{ 1, 0, 0, 0 }, { 2, 1, 0, 0 }, { 3, 2, 0, 0 }, { 4, 3, 0, 1 }, { 5, 4, 0, 1 },
};
static const struct tandem_program_sequence sequences[] = { { 0, 3 } };
static const uint32_t blocks[] = { 3, 0, 2 };

static const struct bench_forward good = {
	.flags = TANDEM_FORWARD_EMBED | TANDEM_FORWARD_OUTPUT | TANDEM_FORWARD_LOGITS,
	.layer_count = 2, .rows = rows, .row_count = ROWS,
	.sequences = sequences, .sequence_count = 1, .blocks = blocks, .block_count = 3,
};

/* The same with tokens drawn. */
static const uint32_t history[] = { 1, 2, 39, 2 };
static const struct tandem_program_sampling samplings[] = { {
	.seed = 5, .temperature = 0x3f800000, .top_p = 0x3f666666, .min_p = 0x3c23d70a,
	.repeat_penalty = 0x3f8ccccd, .top_k = 20, .history_count = 4,
} };

static const struct bench_forward drawn = {
	.flags = TANDEM_FORWARD_EMBED | TANDEM_FORWARD_OUTPUT | TANDEM_FORWARD_SAMPLE,
	.layer_count = 2, .rows = rows, .row_count = ROWS,
	.sequences = sequences, .sequence_count = 1, .blocks = blocks, .block_count = 3,
	.samplings = samplings, .history = history, .history_count = 4,
};

static uint32_t seed(void)
{
	const char *text = getenv("TANDEM_TEST_SEED");
	uint32_t value = text ? (uint32_t)strtoul(text, NULL, 0) : 20261124;

	return value ? value : 1;
}

static int setup(void **state)
{
	static struct bench bench;
	struct tandem_fw_config config = driver_config;

	/* A program that asks for more is refused, and the test stays small. */
	config.working_memory_max = 4 << 20;
	bench_open(&bench, &config, &shape, &kv, ROWS);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	bench_close(*state);
	return 0;
}

/* Values at which arithmetic goes wrong, or any. */
static uint64_t interesting(uint32_t *random)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 7, 8, 63, 64, 0x7f, 0xff, 0x7fff, 0xffff, 1u << 18, 1u << 24,
		0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff8, 1ull << 32, 1ull << 40,
		1ull << 63, ~0ull, ~7ull, ~63ull,
	};

	if (tiny_random(random) % 4)
		return values[tiny_random(random) % (sizeof(values) / sizeof(values[0]))];
	return (uint64_t)tiny_random(random) << 32 | tiny_random(random);
}

/* Change a few words, bits or bytes of an object. */
static void mutate(char *object, size_t size, uint32_t *random)
{
	uint32_t changes = 1 + tiny_random(random) % 3;

	for (uint32_t i = 0; i < changes; i++) {
		static const size_t widths[] = { 1, 2, 4, 4, 4, 8 };
		size_t width = widths[tiny_random(random) % 6];
		size_t at = tiny_random(random) % size / width * width;
		uint64_t value = interesting(random), old = 0;

		if (at + width > size)
			continue;
		memcpy(&old, object + at, width);
		if (tiny_random(random) % 3 == 0)
			value = old ^ 1ull << tiny_random(random) % (8 * width);
		else if (tiny_random(random) % 3 == 0)
			value = old + tiny_random(random) % 5 - 2;
		memcpy(object + at, &value, width);
	}
}

/* After all that a good program still does what it should. */
static void check_alive(struct bench *bench)
{
	memcpy(bench->description, bench->model.description, bench->model.description_bytes);
	memcpy(bench->weights, bench->model.weights, bench->model.weights_bytes);
	bench_forward(bench, &good);
}

/* @object: what is changed, and put back each time */
static void mutate_and_run(struct bench *bench, uint32_t size, char *object, size_t bytes)
{
	uint32_t random = seed(), statuses[TANDEM_HW_INTERNAL + 1] = { 0 };
	char *original = malloc(bytes);

	memcpy(original, object, bytes);
	for (int i = 0; i < ROUNDS; i++) {
		mutate(object, bytes, &random);
		statuses[bench_run(bench, size).status]++;
		memcpy(object, original, bytes);
	}
	free(original);
	/* Both ways out were taken, or this tests little. */
	assert_true(statuses[TANDEM_HW_OK] > 0);
	assert_true(statuses[TANDEM_HW_PROGRAM_INVALID] > ROUNDS / 4);
	check_alive(bench);
}

static void programs(void **state)
{
	struct bench *bench = *state;
	uint32_t size = bench_write(bench, &good);

	mutate_and_run(bench, size, (char *)bench_program(bench, size), size);
}

static void programs_that_draw(void **state)
{
	struct bench *bench = *state;
	uint32_t size = bench_write(bench, &drawn);

	mutate_and_run(bench, size, (char *)bench_program(bench, size), size);
}

static void models(void **state)
{
	struct bench *bench = *state;
	uint32_t size = bench_write(bench, &good);

	mutate_and_run(bench, size, (char *)bench->description,
		       bench->model.description_bytes);
}

static void descriptors(void **state)
{
	struct bench *bench = *state;
	uint32_t size = bench_write(bench, &good), random = seed();
	const struct tandem_hw_descriptor originals[] = {
		bench_exec(bench, size),
		{ .opcode = TANDEM_HW_OP_COPY, .dst_region = BENCH_HIDDEN,
		  .src_region = BENCH_KV, .length = 64 },
		{ .opcode = TANDEM_HW_OP_FILL, .dst_region = BENCH_KV, .length = 256 },
		{ .opcode = TANDEM_HW_OP_NOP },
	};

	for (int i = 0; i < ROUNDS; i++) {
		struct tandem_hw_descriptor d = originals[i % 4];

		mutate((char *)&d, sizeof(d), &random);
		driver_run(&bench->driver, BENCH_QUEUE, &d);
	}
	check_alive(bench);
}

/* Region and context tables are the driver's, which may be wrong as well. */
static void tables(void **state)
{
	struct bench *bench = *state;
	uint32_t size = bench_write(bench, &good), random = seed();
	struct tandem_hw_region *regions = bench->driver.regions[0];
	const size_t bytes = (BENCH_PROGRAM + 1) * sizeof(*regions);
	struct tandem_hw_region kept[BENCH_PROGRAM + 1];
	struct tandem_hw_context context = bench->driver.contexts[0];

	memcpy(kept, regions, bytes);
	for (int i = 0; i < ROUNDS / 4; i++) {
		mutate((char *)regions, bytes, &random);
		if (i % 8 == 0)
			mutate((char *)bench->driver.contexts, sizeof(context), &random);
		bench_run(bench, size);
		memcpy(regions, kept, bytes);
		bench->driver.contexts[0] = context;
		memcpy(bench->description, bench->model.description,
		       bench->model.description_bytes);
	}
	check_alive(bench);
}

static void admin_commands(void **state)
{
	struct bench *bench = *state;
	struct driver *d = &bench->driver;
	uint32_t random = seed();
	struct tandem_hw_descriptor create = driver_queue(d, 3, TANDEM_HW_QUEUE_COPY, 8);
	const struct tandem_hw_descriptor originals[] = {
		create,
		{ .opcode = TANDEM_HW_OP_QUEUE_DELETE, .argument = 3 },
		{ .opcode = TANDEM_HW_OP_ABORT, .argument = 1, .length = 5 },
		{ .opcode = TANDEM_HW_OP_CONTEXT_SYNC, .context = 1 },
		{ .opcode = TANDEM_HW_OP_IDENTIFY,
		  .src_offset = driver_host(d, sizeof(struct tandem_hw_identity), true, NULL) },
	};

	for (int i = 0; i < ROUNDS / 4; i++) {
		struct tandem_hw_descriptor m = originals[i % 5];

		mutate((char *)&m, sizeof(m), &random);
		/* The bench's own queue and rings stay. */
		if (m.opcode == TANDEM_HW_OP_QUEUE_DELETE && m.argument == BENCH_QUEUE)
			continue;
		driver_run(d, 0, &m);
	}
	check_alive(bench);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(programs),
		test(programs_that_draw),
		test(models),
		test(descriptors),
		test(tables),
		test(admin_commands),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
