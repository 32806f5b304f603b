// SPDX-License-Identifier: MIT
/* The executor against the reference, and against itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"
#include "kernels/kernels.h"
#include "kernels/philox.h"
#include "kernels/sampling.h"

#define TOKENS	23
#define LONG	300
#define TOLERANCE(type, kv_type)	((type) == TANDEM_PROGRAM_BF16 && \
					 (kv_type) != TANDEM_PROGRAM_Q8_0 ? 1e-2 : 8e-2)
#define ALL	(TANDEM_FORWARD_EMBED | TANDEM_FORWARD_OUTPUT | TANDEM_FORWARD_LOGITS)

/* Grouped queries, odd sizes, part of a head rotated. */
static const struct tiny_shape odd = {
	.layers = 3, .dim = 20, .ffn_dim = 37, .heads = 6, .kv_heads = 2, .head_dim = 7,
	.rope_dim = 4, .vocabulary = 61, .context = 512, .rope_scale = 1,
};

static const struct tandem_program_kv small_blocks = {
	.type = TANDEM_PROGRAM_F32, .block_tokens = 5, .blocks = 70,
};

/* A sequence of tokens whose blocks are all over the pool. */
struct prompt {
	struct tandem_program_row rows[LONG];
	uint32_t tokens[LONG];
	struct tandem_program_sequence sequence;
	uint32_t blocks[70];
};

static void make_prompt(struct prompt *prompt, const struct tiny_shape *shape,
			const struct tandem_program_kv *kv, uint32_t seed)
{
	for (uint32_t i = 0; i < LONG; i++) {
		prompt->tokens[i] = tiny_random(&seed) % shape->vocabulary;
		prompt->rows[i] = (struct tandem_program_row){
			.token = prompt->tokens[i], .position = i,
			.flags = TANDEM_ROW_OUTPUT,
		};
	}
	for (uint32_t i = 0; i < kv->blocks; i++)
		prompt->blocks[i] = i;
	for (uint32_t i = kv->blocks - 1; i; i--) {
		uint32_t j = tiny_random(&seed) % (i + 1), block = prompt->blocks[i];

		prompt->blocks[i] = prompt->blocks[j];
		prompt->blocks[j] = block;
	}
	prompt->sequence = (struct tandem_program_sequence){ 0, kv->blocks };
}

static struct bench_forward forward_of(const struct prompt *prompt, uint32_t first,
				       uint32_t count, const struct tiny_shape *shape,
				       uint32_t blocks)
{
	return (struct bench_forward){
		.flags = ALL, .layer_count = shape->layers,
		.rows = prompt->rows + first, .row_count = count,
		.sequences = &prompt->sequence, .sequence_count = 1,
		.blocks = prompt->blocks, .block_count = blocks,
	};
}

static void check_against_reference(const struct tiny_shape *shape,
				    const struct tandem_program_kv *kv, const char *isa,
				    double tolerance)
{
	struct tandem_fw_config config = driver_config;
	struct prompt prompt;
	struct bench_forward forward;
	struct bench bench;
	double *expected;

	config.isa = isa;
	make_prompt(&prompt, shape, kv, 99);
	bench_open(&bench, &config, shape, kv, TOKENS);
	forward = forward_of(&prompt, 0, TOKENS, shape, kv->blocks);
	bench_forward(&bench, &forward);

	expected = calloc(TOKENS * shape->vocabulary, sizeof(*expected));
	tiny_model_reference(&bench.model, prompt.tokens, TOKENS, kv->type, expected);
	for (uint32_t i = 0; i < TOKENS; i++) {
		const float *logits = bench_logits(&bench, i);
		uint32_t best = 0;

		for (uint32_t j = 0; j < shape->vocabulary; j++) {
			double error = fabs(logits[j] - expected[i * shape->vocabulary + j]);

			/* Not "greater than": a NaN fails as well. */
			if (!(error <= tolerance))
				fail_msg("row %u, logit %u: %g instead of %g", i, j, logits[j],
					 expected[i * shape->vocabulary + j]);
			if (logits[j] > logits[best])
				best = j;
		}
		assert_int_equal(bench_output(&bench, i)->token, best);
		assert_int_equal(bench_output(&bench, i)->row, i);
	}
	free(expected);
	bench_close(&bench);
}

static const char *const sets[] = { "scalar", "avx2", "avx512", "avx512vnni", "avx512bf16" };

static void agrees_with_the_reference(void **state)
{
	(void)state;
	for (int i = 0; i < 8 * 5; i++) {
		const char *isa = sets[i >> 3];
		struct tandem_program_kv kv = small_blocks;
		struct tiny_shape shape = odd;

		if (!tandem_kernels_select(isa))
			continue;
		shape.type = i & 1 ? TANDEM_PROGRAM_F16 : TANDEM_PROGRAM_F32;
		shape.tied = i & 4;
		kv.type = i & 2 ? TANDEM_PROGRAM_F16 : TANDEM_PROGRAM_F32;
		/* A binary16 K or V may round the other way here than there. */
		check_against_reference(&shape, &kv, isa, i & 2 ? 1e-2 : 1e-4);
	}
}

static void agrees_in_other_shapes(void **state)
{
	struct tiny_shape shape = odd;
	struct tandem_program_kv kv = small_blocks;

	(void)state;
	shape.rope_scale = 0.25f;
	check_against_reference(&shape, &kv, "scalar", 1e-4);
	shape.rope_scale = 1;
	shape.rope_dim = 0;
	check_against_reference(&shape, &kv, "scalar", 1e-4);
	shape.heads = shape.kv_heads = 1;
	shape.head_dim = shape.rope_dim = 64;
	shape.dim = 64;
	shape.layers = 1;
	shape.ffn_dim = 1;
	check_against_reference(&shape, &kv, NULL, 1e-4);
	kv.block_tokens = 1;
	check_against_reference(&shape, &kv, NULL, 1e-4);
	kv.block_tokens = 64;
	kv.blocks = 1;
	check_against_reference(&shape, &kv, NULL, 1e-4);
}

/* What descendants of llama add, each by itself and all together. */
static void agrees_with_additions(void **state)
{
	(void)state;
	for (size_t i = 0; i < 5 * 7; i++) {
		const char *isa = sets[i / 7];
		struct tiny_shape shape = odd;

		if (!tandem_kernels_select(isa))
			continue;
		shape.rope_dim = 6;
		shape.biases = i % 7 == 1 || i % 7 == 6;
		shape.head_norms = i % 7 == 2 || i % 7 == 6;
		shape.rope_halves = i % 7 == 3 || i % 7 == 6;
		shape.rope_factors = i % 7 == 4 || i % 7 == 6;
		shape.rope_magnitude = i % 7 >= 5 ? 1.25f : 0;
		shape.rope_scale = i % 7 == 6 ? 0.5f : 1;
		check_against_reference(&shape, &small_blocks, isa, 1e-4);
	}
}

/*
 * Types in blocks. The reference rounds activations to codes, too, but now and
 * then one lies so close to the middle that it goes the other way here: a 127th
 * of the largest in 32. Logits are up to 5. Where matrices are BF16, one set rounds
 * activations to that, by up to a 256th, which the reference does not.
 */
static void agrees_in_every_type(void **state)
{
	static const uint32_t types[] = {
		TANDEM_PROGRAM_BF16, TANDEM_PROGRAM_Q8_0, TANDEM_PROGRAM_Q4_0,
		TANDEM_PROGRAM_Q4_K, TANDEM_PROGRAM_Q6_K,
	};
	static const uint32_t kv_types[] = {
		TANDEM_PROGRAM_F32, TANDEM_PROGRAM_F16, TANDEM_PROGRAM_Q8_0,
	};
	struct tandem_program_kv kv = small_blocks;
	struct tiny_shape shape = {
		.layers = 2, .dim = 256, .ffn_dim = 256, .heads = 8, .kv_heads = 4,
		.head_dim = 32, .rope_dim = 32, .vocabulary = 61, .context = 512,
		.rope_scale = 1,
	};

	(void)state;
	/* Over the sets, each type of matrices meets each type of caches. */
	for (int i = 0; i < 5 * 5; i++) {
		const char *isa = sets[i / 5];

		if (!tandem_kernels_select(isa))
			continue;
		shape.type = types[i % 5];
		shape.tied = i & 1;
		kv.type = kv_types[(i / 5 + i) % 3];
		check_against_reference(&shape, &kv, isa,
					!strcmp(isa, "avx512bf16") ?
						8e-2 : TOLERANCE(shape.type, kv.type));
	}
}

/* What a run leaves behind: to be the same, bit for bit. */
struct remains {
	float *hidden;
	char *output;
	char *pool;
};

static void keep(struct bench *bench, struct remains *remains)
{
	remains->hidden = malloc(bench->hidden_bytes);
	remains->output = malloc(bench->output_bytes);
	remains->pool = malloc(bench->pool_bytes);
	memcpy(remains->hidden, bench->hidden, bench->hidden_bytes);
	memcpy(remains->output, bench->output, bench->output_bytes);
	memcpy(remains->pool, bench->pool, bench->pool_bytes);
}

static void check_kept(struct bench *bench, const struct remains *remains)
{
	assert_memory_equal(bench->hidden, remains->hidden, bench->hidden_bytes);
	assert_memory_equal(bench->output, remains->output, bench->output_bytes);
	assert_memory_equal(bench->pool, remains->pool, bench->pool_bytes);
}

static void wipe(struct bench *bench)
{
	memset(bench->hidden, 0xa5, bench->hidden_bytes);
	memset(bench->output, 0xa5, bench->output_bytes);
	memset(bench->pool, 0xa5, bench->pool_bytes);
}

static void forget(struct remains *remains)
{
	free(remains->hidden);
	free(remains->output);
	free(remains->pool);
}

static void check_alone_and_together(const struct tiny_shape *shape,
				     const struct tandem_program_kv *kv)
{
	struct prompt prompt;
	struct bench_forward forward;
	struct remains together;
	struct bench bench;
	char *outputs;

	make_prompt(&prompt, shape, kv, 3);
	bench_open(&bench, &driver_config, shape, kv, LONG);
	forward = forward_of(&prompt, 0, LONG, shape, kv->blocks);
	bench_forward(&bench, &forward);
	keep(&bench, &together);
	wipe(&bench);

	outputs = malloc(bench.output_bytes);
	memset(outputs, 0xa5, bench.output_bytes);
	for (uint32_t i = 0; i < LONG; i++) {
		uint64_t at = i * bench.output_stride;
		uint64_t bytes = sizeof(struct tandem_program_output) +
				 shape->vocabulary * sizeof(float);

		forward = forward_of(&prompt, i, 1, shape, kv->blocks);
		bench_forward(&bench, &forward);
		bench_output(&bench, 0)->row = i;
		memcpy(outputs + at, bench.output, bytes);
		assert_memory_equal(bench.hidden, together.hidden + i * shape->dim,
				    shape->dim * sizeof(float));
	}
	assert_memory_equal(outputs, together.output, bench.output_bytes);
	assert_memory_equal(bench.pool, together.pool, bench.pool_bytes);
	free(outputs);
	forget(&together);
	bench_close(&bench);
}

static void same_bits_alone_and_together(void **state)
{
	struct tandem_program_kv kv = small_blocks;
	struct tiny_shape shape = odd;

	(void)state;
	check_alone_and_together(&odd, &small_blocks);
	/* Types in blocks, in matrices and in the cache. */
	shape.dim = 256;
	shape.ffn_dim = 256;
	shape.heads = 4;
	shape.head_dim = shape.rope_dim = 64;
	shape.layers = 2;
	shape.type = TANDEM_PROGRAM_Q4_0;
	kv.type = TANDEM_PROGRAM_Q8_0;
	check_alone_and_together(&shape, &kv);
	shape.type = TANDEM_PROGRAM_Q6_K;
	kv.type = TANDEM_PROGRAM_F16;
	check_alone_and_together(&shape, &kv);
}

static void same_bits_layer_by_layer(void **state)
{
	struct prompt prompt;
	struct bench_forward forward;
	struct remains whole;
	struct bench bench;

	(void)state;
	make_prompt(&prompt, &odd, &small_blocks, 4);
	bench_open(&bench, &driver_config, &odd, &small_blocks, LONG);
	forward = forward_of(&prompt, 0, LONG, &odd, small_blocks.blocks);
	bench_forward(&bench, &forward);
	keep(&bench, &whole);
	wipe(&bench);

	forward.flags = TANDEM_FORWARD_EMBED;
	forward.layer_count = 0;
	bench_forward(&bench, &forward);
	forward.flags = 0;
	forward.layer_count = 1;
	for (; forward.layer_first < odd.layers; forward.layer_first++)
		bench_forward(&bench, &forward);
	forward.layer_count = 0;
	forward.flags = TANDEM_FORWARD_OUTPUT | TANDEM_FORWARD_LOGITS;
	bench_forward(&bench, &forward);
	check_kept(&bench, &whole);
	forget(&whole);
	bench_close(&bench);
}

/* A run of LONG rows on a device of some configuration. */
static void run_long(const struct tandem_fw_config *config, struct remains *remains)
{
	struct prompt prompt;
	struct bench_forward forward;
	struct bench bench;

	make_prompt(&prompt, &odd, &small_blocks, 5);
	bench_open(&bench, config, &odd, &small_blocks, LONG);
	forward = forward_of(&prompt, 0, LONG, &odd, small_blocks.blocks);
	bench_forward(&bench, &forward);
	if (remains->hidden)
		check_kept(&bench, remains);
	else
		keep(&bench, remains);
	bench_close(&bench);
}

static void same_bits_whatever_the_cores(void **state)
{
	struct tandem_fw_config config = driver_config;
	struct remains remains = { 0 };

	(void)state;
	for (config.cores = 1; config.cores <= 5; config.cores++)
		run_long(&config, &remains);
	forget(&remains);
}

static void same_bits_in_little_memory(void **state)
{
	struct tandem_fw_config config = driver_config;
	struct remains remains = { 0 };

	(void)state;
	run_long(&config, &remains);
	/* The program and 16 rows of logits take 12 KiB of these. */
	config.working_memory_max = 24 << 10;
	run_long(&config, &remains);
	forget(&remains);
}

static void no_memory_is_said(void **state)
{
	struct tandem_fw_config config = driver_config;
	struct prompt prompt;
	struct bench_forward forward;
	struct bench bench;

	(void)state;
	make_prompt(&prompt, &odd, &small_blocks, 5);
	for (uint64_t limit = 64; limit <= 4096; limit *= 2) {
		config.working_memory_max = limit;
		bench_open(&bench, &config, &odd, &small_blocks, LONG);
		forward = forward_of(&prompt, 0, 100, &odd, small_blocks.blocks);
		assert_int_equal(bench_run(&bench, bench_write(&bench, &forward)).status,
				 TANDEM_HW_NO_MEMORY);
		bench_close(&bench);
	}
}

/* Two sequences whose rows alternate, against each of them alone. */
static void same_bits_beside_another_sequence(void **state)
{
	const struct tandem_program_kv kv = {
		.type = TANDEM_PROGRAM_F16, .block_tokens = 4, .blocks = 12,
	};
	struct tandem_program_sequence sequences[2] = { { 6, 6 }, { 0, 6 } };
	struct tandem_program_row rows[2 * TOKENS];
	struct prompt one, two;
	struct bench_forward both;
	struct bench bench;
	char *kept;

	(void)state;
	make_prompt(&one, &odd, &kv, 7);
	make_prompt(&two, &odd, &kv, 8);
	for (int i = 0; i < TOKENS; i++) {
		rows[2 * i] = one.rows[i];
		rows[2 * i + 1] = two.rows[i];
		rows[2 * i + 1].sequence = 1;
	}
	bench_open(&bench, &driver_config, &odd, &kv, 2 * TOKENS);
	both = forward_of(&one, 0, 2 * TOKENS, &odd, kv.blocks);
	both.rows = rows;
	both.sequences = sequences;
	both.sequence_count = 2;
	bench_forward(&bench, &both);
	kept = malloc(bench.output_bytes);
	memcpy(kept, bench.output, bench.output_bytes);

	for (uint32_t s = 0; s < 2; s++) {
		struct bench_forward alone = forward_of(s ? &two : &one, 0, TOKENS, &odd,
							kv.blocks);

		wipe(&bench);
		bench_forward(&bench, &alone);
		for (uint32_t i = 0; i < TOKENS; i++)
			assert_memory_equal(bench_logits(&bench, i),
					    kept + (2 * i + s) * bench.output_stride +
					    sizeof(struct tandem_program_output),
					    odd.vocabulary * sizeof(float));
	}
	free(kept);
	bench_close(&bench);
}

static uint32_t bits(float value)
{
	uint32_t word;

	memcpy(&word, &value, sizeof(word));
	return word;
}

/* What follows a row, by its logits and the description of its sampling. */
static uint32_t expected_token(const struct tandem_program_sampling *sampling,
			       const struct tandem_sampling_rule *rule, float penalty,
			       const uint32_t *history, const float *logits, uint32_t position)
{
	const struct tandem_kernels *kernels = tandem_kernels_select("scalar");
	struct tandem_candidate work[61];
	float penalised[61];
	uint32_t seen[8];

	memcpy(penalised, logits, sizeof(penalised));
	memcpy(seen, history + sampling->first_history, sampling->history_count * 4);
	tandem_kernel_penalise(penalised, penalty, seen, sampling->history_count);
	return (uint32_t)tandem_kernel_sample(rule, penalised, 61,
					      kernels->argmax(penalised, 61),
					      tandem_philox_uniform(sampling->seed, position + 1),
					      work);
}

/* Two sequences that draw in their own ways, beside each other and alone. */
static void draws_the_same_beside_another_sequence(void **state)
{
	const struct tandem_program_kv kv = {
		.type = TANDEM_PROGRAM_F16, .block_tokens = 4, .blocks = 12,
	};
	const uint32_t history[] = { 3, 60, 3, 17, 9, 9, 0 };
	const struct tandem_sampling_rule rules[] = { { 0.8f, 20, 0.9f, 0.01f }, { 5, 0, 1, 0 } };
	const float penalties[] = { 1, 1.5f };
	struct tandem_program_sampling samplings[2] = {
		{ .seed = 0x123456789abcdef0, .first_history = 0, .history_count = 4 },
		{ .seed = 7, .first_history = 4, .history_count = 3 },
	};
	struct tandem_program_sequence sequences[2] = { { 6, 6 }, { 0, 6 } };
	struct tandem_program_row rows[2 * TOKENS];
	uint32_t drawn[2 * TOKENS], likeliest = 0;
	struct prompt prompts[2];
	struct bench_forward both;
	struct bench bench;

	(void)state;
	for (int s = 0; s < 2; s++) {
		make_prompt(&prompts[s], &odd, &kv, 7 + s);
		samplings[s].temperature = bits(rules[s].temperature);
		samplings[s].top_k = rules[s].top_k;
		samplings[s].top_p = bits(rules[s].top_p);
		samplings[s].min_p = bits(rules[s].min_p);
		samplings[s].repeat_penalty = bits(penalties[s]);
		for (int i = 0; i < TOKENS; i++) {
			rows[2 * i + s] = prompts[s].rows[i];
			rows[2 * i + s].sequence = s;
		}
	}
	bench_open(&bench, &driver_config, &odd, &kv, 2 * TOKENS);
	both = forward_of(&prompts[0], 0, 2 * TOKENS, &odd, kv.blocks);
	both.flags |= TANDEM_FORWARD_SAMPLE;
	both.rows = rows;
	both.sequences = sequences;
	both.sequence_count = 2;
	both.samplings = samplings;
	both.history = history;
	both.history_count = 7;
	bench_forward(&bench, &both);
	for (uint32_t i = 0; i < 2 * TOKENS; i++) {
		const int s = i % 2;
		const float *logits = bench_logits(&bench, i);

		drawn[i] = bench_output(&bench, i)->token;
		assert_int_equal(drawn[i], expected_token(&samplings[s], &rules[s], penalties[s],
							  history, logits, i / 2));
		likeliest += drawn[i] == tandem_kernels_select("scalar")->argmax(logits, 61);
	}
	assert_true(likeliest < TOKENS);

	for (uint32_t s = 0; s < 2; s++) {
		struct bench_forward alone = forward_of(&prompts[s], 0, TOKENS, &odd, kv.blocks);

		wipe(&bench);
		alone.flags = TANDEM_FORWARD_EMBED | TANDEM_FORWARD_OUTPUT | TANDEM_FORWARD_SAMPLE;
		alone.samplings = &samplings[s];
		alone.history = history;
		alone.history_count = 7;
		bench_forward(&bench, &alone);
		for (uint32_t i = 0; i < TOKENS; i++)
			assert_int_equal(bench_output(&bench, i)->token, drawn[2 * i + s]);
	}
	bench_close(&bench);
}

/* Only flagged rows have an output, in the order of rows, and without logits. */
static void outputs_of_some_rows(void **state)
{
	struct prompt prompt;
	struct bench_forward forward;
	struct tandem_program_output all[TOKENS];
	struct bench bench;
	uint32_t n = 0;

	(void)state;
	make_prompt(&prompt, &odd, &small_blocks, 9);
	bench_open(&bench, &driver_config, &odd, &small_blocks, TOKENS);
	forward = forward_of(&prompt, 0, TOKENS, &odd, small_blocks.blocks);
	bench_forward(&bench, &forward);
	for (uint32_t i = 0; i < TOKENS; i++) {
		all[i] = *bench_output(&bench, i);
		prompt.rows[i].flags = i % 3 ? TANDEM_ROW_OUTPUT : 0;
	}
	wipe(&bench);
	forward.flags &= ~TANDEM_FORWARD_LOGITS;
	bench_forward(&bench, &forward);
	for (uint32_t i = 0; i < TOKENS; i++) {
		if (i % 3 == 0)
			continue;
		assert_memory_equal(bench_output(&bench, n), &all[i], sizeof(all[i]));
		if (n + 1 < TOKENS)
			assert_int_equal((uint8_t)bench.output[n * bench.output_stride + 16],
					 0xa5);
		n++;
	}
	assert_int_equal((uint8_t)bench.output[n * bench.output_stride], 0xa5);
	bench_close(&bench);
}

static void estimate_is_the_roofline(void **state)
{
	struct prompt prompt;
	struct bench_forward forward;
	struct tandem_hw_completion got;
	struct bench bench;
	double q = 42, kv = 14, dim = 20, ffn = 37, bytes;

	(void)state;
	make_prompt(&prompt, &odd, &small_blocks, 9);
	bench_open(&bench, &driver_config, &odd, &small_blocks, 1);
	forward = forward_of(&prompt, 0, 1, &odd, small_blocks.blocks);
	got = bench_run(&bench, bench_write(&bench, &forward));
	assert_int_equal(got.status, TANDEM_HW_OK);
	/* Matrices once, K and V of one token read and written, hidden twice. */
	bytes = 3 * 4 * (2 * q * dim + 2 * kv * dim + 3 * ffn * dim) + 4 * 61 * dim +
		3 * 2 * 2 * kv * 4 + 2 * 4 * dim;
	assert_int_equal(got.modelled_ns, llround(bytes / 2.9e12 * 1e9));
	bench_close(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_reference),
		cmocka_unit_test(agrees_in_other_shapes),
		cmocka_unit_test(agrees_with_additions),
		cmocka_unit_test(agrees_in_every_type),
		cmocka_unit_test(same_bits_alone_and_together),
		cmocka_unit_test(same_bits_layer_by_layer),
		cmocka_unit_test(same_bits_whatever_the_cores),
		cmocka_unit_test(same_bits_in_little_memory),
		cmocka_unit_test(no_memory_is_said),
		cmocka_unit_test(same_bits_beside_another_sequence),
		cmocka_unit_test(draws_the_same_beside_another_sequence),
		cmocka_unit_test(outputs_of_some_rows),
		cmocka_unit_test(estimate_is_the_roofline),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
