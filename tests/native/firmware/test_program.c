// SPDX-License-Identifier: MIT
/* Programs that do not hold together, field by field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"
#include "gate.h"

#define ROWS	6
#define BLOCKS	8
#define ALL	(TANDEM_FORWARD_EMBED | TANDEM_FORWARD_OUTPUT | TANDEM_FORWARD_LOGITS)

static const struct tiny_shape shape = {
	.layers = 2, .dim = 16, .ffn_dim = 24, .heads = 4, .kv_heads = 2, .head_dim = 8,
	.rope_dim = 8, .vocabulary = 40, .context = 12, .rope_scale = 1,
	.biases = true, .head_norms = true, .rope_factors = true,
};

static const struct tandem_program_kv kv = {
	.type = TANDEM_PROGRAM_F16, .block_tokens = 2, .blocks = 9,
};

/* Two sequences of three rows, the second from position 5 on. */
static const struct tandem_program_row rows[ROWS] = {
	{ 1, 0, 0, 0 }, { 2, 5, 1, 0 }, { 3, 1, 0, 0 },
	{ 4, 6, 1, TANDEM_ROW_OUTPUT }, { 5, 2, 0, TANDEM_ROW_OUTPUT }, { 39, 7, 1, 0 },
};
static const struct tandem_program_sequence sequences[] = { { 0, 2 }, { 2, 4 } };
static const uint32_t blocks[BLOCKS] = { 8, 0, 1, 2, 3, 7, 4, 5 };

static const struct bench_forward good = {
	.flags = ALL, .layer_count = 2, .rows = rows, .row_count = ROWS,
	.sequences = sequences, .sequence_count = 2, .blocks = blocks, .block_count = BLOCKS,
};

static int setup(void **state)
{
	static struct bench bench;

	bench_open(&bench, &driver_config, &shape, &kv, ROWS);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	bench_close(*state);
	return 0;
}

/* A change to a program or a model, and what the device says of it. */
struct change {
	const char *name;
	size_t offset;
	size_t size;
	uint64_t value;
	uint32_t status;
	uint32_t detail;
};

#define CHANGE(type, member, value, status, detail) \
	{ #member " = " #value, offsetof(struct type, member), \
	  sizeof(((struct type *)0)->member), value, TANDEM_HW_ ## status, detail }
#define INVALID(type, member, value, error) \
	CHANGE(type, member, value, PROGRAM_INVALID, TANDEM_PROGRAM_ ## error)

static void check_changes(struct bench *bench, char *base, uint32_t size,
			  const struct change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct change *change = &changes[i];
		struct tandem_hw_completion got;
		uint64_t before = 0;

		memcpy(&before, base + change->offset, change->size);
		memcpy(base + change->offset, &change->value, change->size);
		got = bench_run(bench, size);
		memcpy(base + change->offset, &before, change->size);
		if (got.status != change->status || got.detail != change->detail)
			fail_msg("%s: status %u, detail %u instead of %u, %u", change->name,
				 got.status, got.detail, change->status, change->detail);
		/* The device is none the worse for it. */
		assert_int_equal(bench_run(bench, size).status, TANDEM_HW_OK);
	}
}

static void fields_of_the_program(void **state)
{
#define P(member, value, error) INVALID(tandem_program_forward, member, value, error)
#define REGION(member, value, detail) \
	CHANGE(tandem_program_forward, member, value, REGION_FAULT, detail)
	struct bench *bench = *state;
	uint32_t size = bench_write(bench, &good);
	const struct change changes[] = {
		P(header.magic, 0, BAD_HEADER),
		P(header.version, 0, BAD_HEADER),
		P(header.version, TANDEM_PROGRAM_VERSION - 1, BAD_HEADER),
		P(header.version, TANDEM_PROGRAM_VERSION + 1, BAD_HEADER),
		P(header.operation, 0, BAD_HEADER),
		P(header.operation, 2, BAD_HEADER),
		P(header.size, 0, BAD_HEADER),
		P(header.size, sizeof(struct tandem_program_forward) - 1, BAD_HEADER),
		P(header.size, size + 1, BAD_HEADER),
		P(header.size, UINT32_MAX, BAD_HEADER),
		P(header.size, size - 1, BAD_TABLE),
		P(header.flags, ALL | 16, BAD_FIELD),
		P(header.flags, TANDEM_FORWARD_EMBED | TANDEM_FORWARD_LOGITS, BAD_FIELD),
		P(model.reserved, 1, BAD_FIELD),
		P(model.offset, 32, BAD_FIELD),
		P(model.length, 0, BAD_REFERENCE),
		P(model.length, sizeof(struct tandem_program_model), BAD_REFERENCE),
		P(model.length, bench->model.description_bytes - 1, BAD_REFERENCE),
		REGION(model.region, 63, 63),
		REGION(model.region, BENCH_OUTPUT, BENCH_OUTPUT),
		REGION(model.length, bench->model.description_bytes + 1, BENCH_MODEL),
		REGION(model.offset, ~63ull, BENCH_MODEL),
		P(weights.reserved, 1, BAD_FIELD),
		P(weights.offset, 1, BAD_FIELD),
		P(weights.length, 0, BAD_REFERENCE),
		P(weights.length, bench->model.weights_bytes - 1, BAD_REFERENCE),
		REGION(weights.region, UINT32_MAX, UINT32_MAX),
		REGION(weights.region, BENCH_OUTPUT, BENCH_OUTPUT),
		REGION(weights.offset, 64, BENCH_WEIGHTS),
		REGION(weights.length, UINT64_MAX, BENCH_WEIGHTS),
		P(hidden.reserved, 1, BAD_FIELD),
		P(hidden.offset, 4, BAD_FIELD),
		P(hidden.length, 0, BAD_REFERENCE),
		P(hidden.length, bench->hidden_bytes - 1, BAD_REFERENCE),
		REGION(hidden.region, BENCH_WEIGHTS, BENCH_WEIGHTS),
		REGION(hidden.offset, 64, BENCH_HIDDEN),
		P(kv_pool.reserved, 1, BAD_FIELD),
		P(kv_pool.offset, 4, BAD_FIELD),
		P(kv_pool.length, bench->pool_bytes - 1, BAD_REFERENCE),
		REGION(kv_pool.region, BENCH_WEIGHTS, BENCH_WEIGHTS),
		REGION(kv_pool.region, BENCH_OUTPUT, BENCH_OUTPUT),
		REGION(kv_pool.offset, 64, BENCH_KV),
		P(output.reserved, 1, BAD_FIELD),
		P(output.offset, 8, BAD_FIELD),
		P(output.length, bench->output_stride + 16 + 4 * 40 - 1, BAD_REFERENCE),
		REGION(output.region, BENCH_MODEL, BENCH_MODEL),
		P(kv.type, 2, BAD_FIELD),
		P(kv.type, UINT32_MAX, BAD_FIELD),
		P(kv.type, TANDEM_PROGRAM_F32, BAD_REFERENCE),
		P(kv.block_tokens, 0, BAD_FIELD),
		P(kv.block_tokens, 1, BAD_TABLE),
		P(kv.block_tokens, 3, BAD_REFERENCE),
		P(kv.block_tokens, UINT32_MAX, BAD_REFERENCE),
		P(kv.blocks, 0, BAD_FIELD),
		P(kv.blocks, 8, BAD_TABLE),
		P(kv.blocks, 10, BAD_REFERENCE),
		P(kv.blocks, UINT32_MAX, BAD_REFERENCE),
		P(kv.layers, 1, BAD_FIELD),
		P(kv.layers, UINT32_MAX, BAD_FIELD),
		P(layer_first, 1, BAD_FIELD),
		P(layer_first, 3, BAD_FIELD),
		P(layer_first, UINT32_MAX, BAD_FIELD),
		P(layer_count, 3, BAD_FIELD),
		P(layer_count, UINT32_MAX, BAD_FIELD),
		P(rows, 0, BAD_FIELD),
		P(rows, UINT32_MAX, BAD_TABLE),
		P(rows, 1u << 28, BAD_TABLE),
		P(sequences, 0, BAD_TABLE),
		P(sequences, 1, BAD_TABLE),
		P(sequences, UINT32_MAX, BAD_TABLE),
		P(blocks, BLOCKS + 1, BAD_TABLE),
		P(blocks, 5, BAD_TABLE),
		P(blocks, UINT32_MAX, BAD_TABLE),
		P(rows_offset, 0, BAD_TABLE),
		P(rows_offset, 4, BAD_FIELD),
		P(rows_offset, UINT32_MAX - 7, BAD_TABLE),
		P(sequences_offset, 0, BAD_TABLE),
		P(sequences_offset, 12, BAD_FIELD),
		P(sequences_offset, UINT32_MAX - 7, BAD_TABLE),
		P(blocks_offset, 0, BAD_TABLE),
		P(blocks_offset, 4, BAD_FIELD),
		P(blocks_offset, UINT32_MAX - 7, BAD_TABLE),
		P(output_stride, 0, BAD_FIELD),
		P(output_stride, 8, BAD_FIELD),
		P(output_stride, 160, BAD_FIELD),
		P(output_stride, 1u << 31, BAD_REFERENCE),
		P(header.flags, ALL | TANDEM_FORWARD_SAMPLE, BAD_TABLE),
		P(history, 1, BAD_FIELD),
		P(samplings_offset, 8, BAD_FIELD),
		P(history_offset, 1u << 31, BAD_FIELD),
	};

	check_changes(bench, (char *)bench_program(bench, size), size, changes,
		      sizeof(changes) / sizeof(changes[0]));
}

#define ONE	0x3f800000
#define NAN32	0x7fc00000
#define INFINITE	0x7f800000

static const uint32_t history[] = { 1, 2, 39 };
static const struct tandem_program_sampling samplings[] = {
	{ .seed = 1, .temperature = ONE, .top_p = ONE, .repeat_penalty = ONE,
	  .history_count = 1 },
	{ .seed = 2, .temperature = ONE, .top_p = ONE, .repeat_penalty = ONE, .top_k = 3,
	  .first_history = 1, .history_count = 2 },
};

static void samplings_of_the_program(void **state)
{
	struct bench *bench = *state;
	struct bench_forward forward = good;
	struct tandem_program_forward *p;
	uint32_t size, s, h;

	forward.flags |= TANDEM_FORWARD_SAMPLE;
	forward.samplings = samplings;
	forward.history = history;
	forward.history_count = 3;
	size = bench_write(bench, &forward);
	p = bench_program(bench, size);
	s = p->samplings_offset;
	h = p->history_offset;

	const struct change changes[] = {
		P(header.flags, ALL, BAD_FIELD),
		P(header.flags, TANDEM_FORWARD_EMBED | TANDEM_FORWARD_SAMPLE, BAD_FIELD),
		P(samplings_offset, 0, BAD_TABLE),
		P(samplings_offset, s + 4, BAD_FIELD),
		P(samplings_offset, UINT32_MAX - 7, BAD_TABLE),
		P(history_offset, 0, BAD_TABLE),
		P(history_offset, h + 4, BAD_FIELD),
		P(history_offset, UINT32_MAX - 7, BAD_TABLE),
		P(history, 2, BAD_TABLE),
		P(history, UINT32_MAX, BAD_TABLE),
#define S(i, member, value, error) \
	{ "sampling " #i ", " #member " = " #value, \
	  s + i * sizeof(samplings[0]) + offsetof(struct tandem_program_sampling, member), 4, \
	  value, TANDEM_HW_PROGRAM_INVALID, TANDEM_PROGRAM_ ## error }
		S(0, temperature, NAN32, BAD_FIELD),
		S(0, temperature, INFINITE, BAD_FIELD),
		S(0, temperature, 0x80000001, BAD_FIELD),
		S(1, temperature, 0xbf800000, BAD_FIELD),
		S(1, temperature, 0x49742401, BAD_FIELD),
		S(0, top_p, 0, BAD_FIELD),
		S(0, top_p, 0x80000000, BAD_FIELD),
		S(0, top_p, NAN32, BAD_FIELD),
		S(0, top_p, 0x3f800001, BAD_FIELD),
		S(1, top_p, 0xbf800000, BAD_FIELD),
		S(0, min_p, NAN32, BAD_FIELD),
		S(1, min_p, 0xbdcccccd, BAD_FIELD),
		S(1, min_p, 0x3f800001, BAD_FIELD),
		S(0, repeat_penalty, 0, BAD_FIELD),
		S(0, repeat_penalty, NAN32, BAD_FIELD),
		S(0, repeat_penalty, INFINITE, BAD_FIELD),
		S(1, repeat_penalty, 0xbf800000, BAD_FIELD),
		S(1, repeat_penalty, 0x42c80001, BAD_FIELD),
		S(0, first_history, 3, BAD_TABLE),
		S(0, first_history, UINT32_MAX, BAD_TABLE),
		S(1, history_count, 3, BAD_TABLE),
		S(1, history_count, TANDEM_PROGRAM_HISTORY_MAX + 1, BAD_FIELD),
		S(1, reserved, 1, BAD_FIELD),
		{ "history", h + 8, 4, 40, TANDEM_HW_PROGRAM_INVALID, TANDEM_PROGRAM_BAD_FIELD },
	};

	check_changes(bench, (char *)p, size, changes, sizeof(changes) / sizeof(changes[0]));
}

static void tables_of_the_program(void **state)
{
	struct bench *bench = *state;
	uint32_t size = bench_write(bench, &good);
	const struct tandem_program_forward *p = bench_program(bench, size);
	const size_t r = p->rows_offset, s = p->sequences_offset, b = p->blocks_offset;
	const struct change changes[] = {
#define ROW(i, member, value, error) \
	{ "row " #i " " #member " = " #value, \
	  r + i * sizeof(rows[0]) + offsetof(struct tandem_program_row, member), 4, \
	  value, TANDEM_HW_PROGRAM_INVALID, TANDEM_PROGRAM_ ## error }
		ROW(0, token, 40, BAD_FIELD),
		ROW(5, token, UINT32_MAX, BAD_FIELD),
		ROW(0, position, 12, BAD_FIELD),
		ROW(0, position, UINT32_MAX, BAD_FIELD),
		ROW(0, position, 1, BAD_TABLE),
		ROW(2, position, 0, BAD_TABLE),
		ROW(2, position, 2, BAD_TABLE),
		ROW(4, position, 4, BAD_TABLE),
		ROW(1, position, 8, BAD_TABLE),
		ROW(3, position, 5, BAD_TABLE),
		ROW(2, sequence, 2, BAD_TABLE),
		ROW(2, sequence, UINT32_MAX, BAD_TABLE),
		ROW(2, sequence, 1, BAD_TABLE),
		ROW(1, flags, 2, BAD_FIELD),
		ROW(1, flags, 1u << 31, BAD_FIELD),
#define TABLE(name, at, value) \
	{ name " = " #value, at, 4, value, TANDEM_HW_PROGRAM_INVALID, \
	  TANDEM_PROGRAM_BAD_TABLE }
		TABLE("first_block", s, 7),
		TABLE("first_block", s, UINT32_MAX),
		TABLE("block_count", s + 4, 1),
		TABLE("block_count", s + 4, 9),
		TABLE("block_count", s + 12, UINT32_MAX),
		TABLE("block", b, 9),
		TABLE("block", b + 4 * (BLOCKS - 1), UINT32_MAX),
	};

	check_changes(bench, (char *)bench_program(bench, size), size, changes,
		      sizeof(changes) / sizeof(changes[0]));
}

static void fields_of_the_model(void **state)
{
#define M(member, value) INVALID(tandem_program_model, member, value, BAD_MODEL)
#define MR(member, value) INVALID(tandem_program_model, member, value, BAD_REFERENCE)
	struct bench *bench = *state;
	const struct change changes[] = {
		M(magic, 0),
		M(architecture, 0),
		M(architecture, 2),
		M(layers, 0),
		MR(layers, 3),
		M(layers, UINT32_MAX),
		M(dim, 0),
		M(dim, UINT32_MAX),
		MR(dim, 1u << 18),
		M(ffn_dim, 0),
		M(ffn_dim, UINT32_MAX),
		MR(ffn_dim, 1u << 18),
		M(heads, 0),
		M(heads, 3),
		M(heads, UINT32_MAX - 1),
		MR(heads, 1u << 15),
		M(kv_heads, 0),
		M(kv_heads, 3),
		M(kv_heads, 8),
		M(head_dim, 0),
		M(head_dim, UINT32_MAX),
		M(head_dim, 4),
		M(rope_dim, 7),
		M(rope_dim, 10),
		M(rope_dim, UINT32_MAX - 1),
		M(vocabulary, 0),
		MR(vocabulary, 1u << 24),
		M(vocabulary, UINT32_MAX),
		M(context, 0),
		M(context, UINT32_MAX),
		M(rms_epsilon, 0),
		M(rms_epsilon, 0x7f800000),
		M(rms_epsilon, 0xbf800000),
		M(rope_frequency_base, 0),
		M(rope_frequency_base, 0x7fc00000),
		M(rope_frequency_scale, 0),
		M(rope_frequency_scale, 0x80000000),
		M(rope_pairs, 2),
		M(rope_pairs, UINT32_MAX),
		M(rope_magnitude, 0),
		M(rope_magnitude, 0x7f800000),
		M(rope_magnitude, 0xbf800000),
#define T(member) \
		M(member.type, 3), M(member.type, UINT32_MAX), M(member.present, 2), \
		M(member.offset, 16), MR(member.offset, 1ull << 40), MR(member.offset, ~31ull)
		T(token_embedding), M(token_embedding.present, 0),
		T(output_norm), M(output_norm.present, 0), M(output_norm.type, 1),
		T(output),
		T(rope_factors), M(rope_factors.type, 1),
		T(layer[0].query_bias), M(layer[0].query_bias.type, 1), T(layer[1].key_bias),
		T(layer[0].value_bias), T(layer[1].query_norm), T(layer[0].key_norm),
		M(layer[1].key_norm.type, 1),
		T(layer[0].attention_norm), M(layer[0].attention_norm.type, 1),
		T(layer[0].query), M(layer[0].query.present, 0),
		T(layer[0].key), T(layer[0].value), T(layer[0].attention_output),
		T(layer[1].ffn_norm), M(layer[1].ffn_norm.type, 1),
		T(layer[1].gate), T(layer[1].up), T(layer[1].down),
		M(layer[1].down.present, 0),
	};

	check_changes(bench, (char *)bench->description, bench_write(bench, &good), changes,
		      sizeof(changes) / sizeof(changes[0]));
}

static void lengths_of_exec(void **state)
{
	struct bench *bench = *state;
	uint32_t size = bench_write(bench, &good);
	struct tandem_hw_completion got;

	for (uint32_t length = 0; length < size; length += length < 300 ? 1 : 8) {
		got = bench_run(bench, length);
		assert_int_equal(got.status, TANDEM_HW_PROGRAM_INVALID);
		assert_int_equal(got.detail, TANDEM_PROGRAM_BAD_HEADER);
	}
	got = bench_run(bench, size + 1);
	assert_int_equal(got.status, TANDEM_HW_REGION_FAULT);
	assert_int_equal(got.detail, BENCH_PROGRAM);
}

/* Permissions that are needed, taken away one by one. */
static void permissions_of_references(void **state)
{
	static const struct {
		uint32_t region, flags, program_flags;
		bool refused;
	} cases[] = {
#define READ	TANDEM_HW_REGION_READ
#define WRITE	TANDEM_HW_REGION_WRITE
		{ BENCH_PROGRAM, WRITE, ALL, true },
		{ BENCH_MODEL, WRITE, ALL, true },
		{ BENCH_WEIGHTS, WRITE, ALL, true },
		{ BENCH_HIDDEN, READ, ALL, true },
		{ BENCH_HIDDEN, WRITE, ALL, false },
		{ BENCH_HIDDEN, WRITE, 0, true },
		{ BENCH_KV, READ, ALL, true },
		{ BENCH_KV, WRITE, ALL, true },
		{ BENCH_OUTPUT, READ, ALL, true },
		{ BENCH_OUTPUT, READ, TANDEM_FORWARD_EMBED, false },
	};
	struct bench *bench = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench_forward forward = good;
		struct tandem_hw_region *region, before;
		struct tandem_hw_completion got;
		uint32_t size;

		forward.flags = cases[i].program_flags;
		size = bench_write(bench, &forward);
		region = &bench->driver.regions[0][cases[i].region];
		before = *region;
		driver_region(&bench->driver, 0, cases[i].region, before.address,
			      before.length, TANDEM_HW_REGION_VALID | cases[i].flags);
		got = bench_run(bench, size);
		*region = before;
		assert_int_equal(got.status, cases[i].refused ? TANDEM_HW_REGION_FAULT :
				 TANDEM_HW_OK);
		assert_int_equal(got.detail, cases[i].refused ? cases[i].region : 0);
	}
}

/* What a program does not use need not be there. */
static void unused_references(void **state)
{
	struct bench *bench = *state;
	struct bench_forward forward = good;
	struct tandem_program_forward *p;
	uint32_t size;

	forward.flags = TANDEM_FORWARD_EMBED;
	forward.layer_count = 0;
	size = bench_write(bench, &forward);
	p = bench_program(bench, size);
	p->output = (struct tandem_program_reference){ 0 };
	p->kv_pool = (struct tandem_program_reference){ 0 };
	p->output_stride = 0;
	assert_int_equal(bench_run(bench, size).status, TANDEM_HW_OK);
}

/* The region begins where the kernels could not use it. */
static void misaligned_region(void **state)
{
	struct bench *bench = *state;
	struct tandem_hw_region before = bench->driver.regions[0][BENCH_HIDDEN];
	uint32_t size = bench_write(bench, &good);
	struct tandem_hw_completion got;

	driver_region(&bench->driver, 0, BENCH_HIDDEN,
		      driver_memory(&bench->driver, before.length + 64, NULL) + 2,
		      before.length, before.flags);
	got = bench_run(bench, size);
	assert_int_equal(got.status, TANDEM_HW_PROGRAM_INVALID);
	assert_int_equal(got.detail, TANDEM_PROGRAM_BAD_REFERENCE);
}

static void program_is_aborted(void **state)
{
	struct tandem_hw_descriptor abort = {
		.opcode = TANDEM_HW_OP_ABORT, .argument = BENCH_QUEUE,
	};
	struct tandem_hw_completion got;
	struct tandem_hw_descriptor exec;
	struct gate gate;
	struct bench bench;
	uint64_t address;

	(void)state;
	bench_open(&bench, &driver_config, &shape, &kv, ROWS);
	address = gate_create(&gate, &bench.driver, bench.hidden_bytes);
	driver_region(&bench.driver, 0, BENCH_HIDDEN, address, bench.hidden_bytes,
		      TANDEM_HW_REGION_VALID | READ | WRITE);
	exec = bench_exec(&bench, bench_write(&bench, &good));
	driver_submit(&bench.driver, BENCH_QUEUE, &exec);
	gate_wait(&gate);
	abort.length = driver_last(&bench.driver, BENCH_QUEUE);
	assert_int_equal(driver_run(&bench.driver, 0, &abort).status, TANDEM_HW_OK);
	gate_open(&gate);
	got = driver_wait(&bench.driver, BENCH_QUEUE);
	assert_int_equal(got.status, TANDEM_HW_ABORTED);
	assert_int_equal(got.modelled_ns, 0);
	assert_int_equal(driver_run(&bench.driver, BENCH_QUEUE, &exec).status, TANDEM_HW_OK);
	bench_close(&bench);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(fields_of_the_program),
		test(samplings_of_the_program),
		test(tables_of_the_program),
		test(fields_of_the_model),
		test(lengths_of_exec),
		test(permissions_of_references),
		test(unused_references),
		test(misaligned_region),
		cmocka_unit_test(program_is_aborted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
