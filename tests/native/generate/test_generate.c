// SPDX-License-Identifier: MIT
/*
 * Generation end to end: the reference text, and split runs against aggregated
 * ones for prompts around the borders of blocks, programs and context.
 *
 * TANDEM_TEST_DEVICES names the prefill and the decode device, with a space
 * between them, and TANDEM_TEST_TRANSPORTS the transports. Where they are not
 * set: accel0 and accel1 over "local verbs" if these are there, as in the
 * guest, else devices in the process over "local".
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <tandem/tandem.h>

#include "../support/shared_data.h"

#define TOKENS_MAX	1024

/*
 * Greedy continuation of "Once upon a time" by two engines independent of this
 * one: ../shared/data/README.md.
 */
static const char reference_text[] =
	", there was a little girl named Lily. She loved to play outside in the park. "
	"One day, she saw a big, red ball. She wanted to play with it, but it was too high.";

/* Everything that the tests share; opened once. */
static struct {
	char model_path[512];
	char devices[2][64];
	char transports[64];
	struct tandem_loop *loop;
	struct tandem_model *model;
	struct tandem_model_info info;
	struct tandem_device *device[2];
	struct tandem_instance *instance[2];
} world;

struct output {
	uint32_t tokens[TOKENS_MAX];
	uint32_t count;
};

static int take_token(void *user, uint32_t token)
{
	struct output *output = user;

	assert_true(output->count < TOKENS_MAX);
	output->tokens[output->count++] = token;
	return 0;
}

static void read_environment(void)
{
	const bool accel = !access("/dev/accel/accel1", F_OK);
	const char *devices = getenv("TANDEM_TEST_DEVICES");
	const char *transports = getenv("TANDEM_TEST_TRANSPORTS");

	if (!devices)
		devices = accel ? "accel0 accel1" : "inproc:trn2 inproc:wse3";
	if (!transports)
		transports = accel ? "local verbs tcp" : "local tcp";
	assert_int_equal(sscanf(devices, "%63s %63s", world.devices[0], world.devices[1]), 2);
	snprintf(world.transports, sizeof(world.transports), "%s", transports);
	print_message("# %s and %s over %s\n", world.devices[0], world.devices[1],
		      world.transports);
}

static void open_instance(int i)
{
	struct tandem_instance_options options = {
		.kv_type = 1,
		.block_tokens = 16,
		/* Small, so that longer prompts take several programs a layer. */
		.rows_max = 64,
	};
	struct tandem_error error = { 0 };

	if (tandem_device_open(world.loop, world.devices[i], &world.device[i], &error))
		fail_msg("%s", error.message);
	if (tandem_instance_create(world.loop, world.device[i], world.model, &options,
				   &world.instance[i], &error))
		fail_msg("%s", error.message);
}

static int setup(void **state)
{
	struct tandem_error error = { 0 };

	(void)state;
	read_environment();
	if (!shared_data_path("data/models/stories260K.gguf", world.model_path,
			      sizeof(world.model_path)))
		return 0;
	assert_int_equal(tandem_loop_create(&world.loop, &error), 0);
	if (tandem_model_load(world.model_path, &world.model, &error))
		fail_msg("%s", error.message);
	tandem_model_get_info(world.model, &world.info);
	open_instance(0);
	open_instance(1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		tandem_instance_destroy(world.instance[i]);
		tandem_device_close(world.device[i]);
	}
	tandem_loop_destroy(world.loop);
	tandem_model_free(world.model);
	return 0;
}

static void need_model(void)
{
	char path[512];

	if (world.model)
		return;
	/* Says once more why. */
	shared_data_path("data/models/stories260K.gguf", path, sizeof(path));
	skip();
}

static void introduce(struct tandem_connection *from, struct tandem_connection *to)
{
	unsigned char description[TANDEM_DESCRIPTION_MAX];
	struct tandem_error error = { 0 };
	int size = tandem_connection_describe(from, description, sizeof(description));

	assert_true(size > 0);
	if (tandem_connection_connect(to, description, (size_t)size, &error))
		fail_msg("%s", error.message);
}

static struct tandem_connection *open_connection(int i, const char *transport)
{
	struct tandem_connection_options options = { .gid_index = -1, .grants = 1 };
	struct tandem_connection *connection = NULL;
	struct tandem_error error = { 0 };
	int number = tandem_transport_parse(transport);

	assert_true(number >= 0);
	options.transport = (enum tandem_transport)number;
	if (tandem_connection_open(world.loop, tandem_instance_kv_pool(world.instance[i]),
				   &options, &connection, &error))
		fail_msg("%s", error.message);
	return connection;
}

/* Run aggregated on the decode device when @transport is NULL. */
static void run(const char *transport, const uint32_t *prompt, uint32_t prompt_tokens,
		uint32_t tokens, float temperature, struct output *output,
		struct tandem_generation_stats *stats)
{
	struct tandem_generation generation = {
		.prefill = world.instance[transport ? 0 : 1],
		.decode = world.instance[1],
		.prompt = prompt,
		.prompt_tokens = prompt_tokens,
		.tokens_max = tokens,
		.sampling = { .temperature = temperature, .seed = 7 },
		.timeout_ms = 120000,
		/* Each test is to do all of the work; test_reuse.c is about the rest. */
		.no_prefix_cache = 1,
		.on_token = take_token,
		.user = output,
	};
	struct tandem_error error = { 0 };
	uint32_t free_blocks[2];
	int ret;

	for (int i = 0; i < 2; i++)
		free_blocks[i] =
			tandem_kv_pool_free_blocks(tandem_instance_kv_pool(world.instance[i]));
	if (transport) {
		generation.push = open_connection(0, transport);
		generation.receive = open_connection(1, transport);
		introduce(generation.push, generation.receive);
		introduce(generation.receive, generation.push);
	}
	output->count = 0;
	ret = tandem_generate(world.loop, &generation, stats, &error);
	tandem_connection_close(generation.push);
	tandem_connection_close(generation.receive);
	if (ret)
		fail_msg("%s", error.message);
	assert_int_equal(output->count, stats->generated);
	for (int i = 0; i < 2; i++)
		assert_int_equal(free_blocks[i], tandem_kv_pool_free_blocks(
			tandem_instance_kv_pool(world.instance[i])));
}

static uint32_t encode(const char *text, uint32_t *tokens)
{
	ssize_t count = tandem_tokenizer_encode(tandem_model_tokenizer(world.model), text,
						strlen(text), 1, tokens, TOKENS_MAX);

	assert_true(count > 0);
	return (uint32_t)count;
}

static void decode(const struct output *output, uint32_t previous, char *text, size_t room)
{
	size_t used = 0;

	for (uint32_t i = 0; i < output->count; i++) {
		ssize_t size = tandem_tokenizer_decode(tandem_model_tokenizer(world.model),
						       output->tokens[i], previous, text + used,
						       room - used - 1);

		assert_true(size >= 0);
		used += (size_t)size;
		previous = output->tokens[i];
	}
	text[used] = 0;
}

static void check_reference(const char *transport)
{
	struct tandem_generation_stats stats;
	uint32_t prompt[TOKENS_MAX];
	struct output output;
	char text[4096];
	uint32_t count = encode("Once upon a time", prompt);

	run(transport, prompt, count, 60, 0.0f, &output, &stats);
	decode(&output, prompt[count - 1], text, sizeof(text));
	assert_int_equal(stats.generated, 60);
	assert_int_equal(stats.finish, TANDEM_FINISH_LENGTH);
	assert_memory_equal(text, reference_text,
			    strlen(text) < strlen(reference_text) ? strlen(text) :
								    strlen(reference_text));
	assert_true(strlen(text) + 16 > strlen(reference_text));
}

static void test_reference_aggregated(void **state)
{
	(void)state;
	need_model();
	check_reference(NULL);
}

static void for_each_transport(void (*check)(const char *transport))
{
	char transports[sizeof(world.transports)];
	char *rest = NULL;

	strcpy(transports, world.transports);
	for (char *name = strtok_r(transports, " ", &rest); name;
	     name = strtok_r(NULL, " ", &rest))
		check(name);
}

static void test_reference_split(void **state)
{
	(void)state;
	need_model();
	for_each_transport(check_reference);
}

/* A prompt of any length that the model takes seriously: the story, repeated. */
static void make_prompt(uint32_t *prompt, uint32_t count)
{
	uint32_t story[TOKENS_MAX];
	char text[512];
	uint32_t length;

	snprintf(text, sizeof(text), "Once upon a time%s", reference_text);
	length = encode(text, story);
	prompt[0] = story[0];
	for (uint32_t i = 1; i < count; i++)
		prompt[i] = story[1 + (i - 1) % (length - 1)];
}

static void check_lengths(const char *transport)
{
	/* Around a block (16), around a program (64), all of the context. */
	const uint32_t lengths[] = { 1, 16, 17, 65, world.info.context };
	const uint32_t kv_width = world.info.kv_heads * world.info.head_dim;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct tandem_generation_stats split_stats, whole_stats;
		struct output split, whole;
		uint32_t prompt[TOKENS_MAX];
		const uint64_t blocks = (lengths[i] - 1) / 16 + 1;

		print_message("# prompt of %u tokens over %s\n", lengths[i], transport);
		make_prompt(prompt, lengths[i]);
		run(NULL, prompt, lengths[i], 20, 0.0f, &whole, &whole_stats);
		run(transport, prompt, lengths[i], 20, 0.0f, &split, &split_stats);
		assert_int_equal(whole.count, split.count);
		assert_memory_equal(whole.tokens, split.tokens, whole.count * sizeof(uint32_t));
		/* Whole blocks of F16, of each layer, K and V. */
		assert_int_equal(split_stats.kv_bytes,
				 world.info.layers * 2ull * kv_width * blocks * 16 * 2);
		/* TCP alone copies, out of memory and into it again. */
		assert_int_equal(split_stats.kv_cpu_copied_bytes,
				 strcmp(transport, "tcp") ? 0 : 2 * split_stats.kv_bytes);
		assert_int_equal(whole_stats.kv_bytes, 0);
	}
}

static void test_prompt_lengths(void **state)
{
	(void)state;
	need_model();
	for_each_transport(check_lengths);
}

static void test_context_end(void **state)
{
	struct tandem_generation_stats stats;
	uint32_t prompt[TOKENS_MAX];
	struct output output;

	(void)state;
	need_model();
	make_prompt(prompt, world.info.context);
	run(NULL, prompt, world.info.context, 5, 0.0f, &output, &stats);
	assert_int_equal(output.count, 1);
	assert_int_equal(stats.finish, TANDEM_FINISH_CONTEXT);
}

static void check_seed(const char *transport)
{
	struct tandem_generation_stats stats;
	uint32_t prompt[TOKENS_MAX];
	struct output greedy, first, second;
	uint32_t count = encode("Once upon a time", prompt);

	run(NULL, prompt, count, 40, 0.0f, &greedy, &stats);
	run(NULL, prompt, count, 40, 1.0f, &first, &stats);
	run(transport, prompt, count, 40, 1.0f, &second, &stats);
	assert_int_equal(first.count, second.count);
	assert_memory_equal(first.tokens, second.tokens, first.count * sizeof(uint32_t));
	assert_true(first.count != greedy.count ||
		    memcmp(first.tokens, greedy.tokens, first.count * sizeof(uint32_t)));
}

static void test_seed(void **state)
{
	(void)state;
	need_model();
	for_each_transport(check_seed);
}

static void expect_refusal(struct tandem_generation *generation, int expected, const char *word)
{
	struct tandem_error error = { 0 };

	assert_int_equal(tandem_generate(world.loop, generation, NULL, &error), expected);
	assert_int_equal(error.code, expected);
	if (!strstr(error.message, word))
		fail_msg("'%s' does not name '%s'", error.message, word);
}

static void test_refusals(void **state)
{
	struct tandem_generation generation;
	uint32_t prompt[TOKENS_MAX];

	(void)state;
	need_model();
	make_prompt(prompt, world.info.context + 1);
	generation = (struct tandem_generation) {
		.prefill = world.instance[1],
		.decode = world.instance[1],
		.prompt = prompt,
		.prompt_tokens = world.info.context + 1,
		.tokens_max = 1,
	};
	expect_refusal(&generation, -EINVAL, "context");
	generation.prompt_tokens = 0;
	expect_refusal(&generation, -EINVAL, "prompt");
	generation.prompt_tokens = 2;
	prompt[1] = world.info.vocabulary;
	expect_refusal(&generation, -EINVAL, "vocabulary");
	prompt[1] = 1;
	generation.sampling.temperature = -1.0f;
	expect_refusal(&generation, -EINVAL, "temperature");
	generation.sampling.temperature = NAN;
	expect_refusal(&generation, -EINVAL, "temperature");
	generation.sampling = (struct tandem_sampling){ .top_p = 1.5f };
	expect_refusal(&generation, -EINVAL, "top_p");
	generation.sampling = (struct tandem_sampling){ .min_p = -0.1f };
	expect_refusal(&generation, -EINVAL, "min_p");
	generation.sampling = (struct tandem_sampling){ .repeat_penalty = -1 };
	expect_refusal(&generation, -EINVAL, "repeat_penalty");
	generation.sampling = (struct tandem_sampling){ .repeat_last = 257 };
	expect_refusal(&generation, -EINVAL, "repeat_last");
	generation.sampling = (struct tandem_sampling){ 0 };
	generation.prefill = world.instance[0];
	expect_refusal(&generation, -EINVAL, "connection");
}

static int stop_at_three(void *user, uint32_t token)
{
	uint32_t *count = user;

	(void)token;
	return ++*count == 3;
}

static void test_caller_stops(void **state)
{
	struct tandem_generation_stats stats;
	uint32_t prompt[TOKENS_MAX], count = 0;
	struct tandem_generation generation = {
		.prefill = world.instance[1],
		.decode = world.instance[1],
		.prompt = prompt,
		.tokens_max = 50,
		.on_token = stop_at_three,
		.user = &count,
	};

	(void)state;
	need_model();
	generation.prompt_tokens = encode("Once upon a time", prompt);
	assert_int_equal(tandem_generate(world.loop, &generation, &stats, NULL), 0);
	assert_int_equal(count, 3);
	assert_int_equal(stats.finish, TANDEM_FINISH_CALLER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_aggregated),
		cmocka_unit_test(test_reference_split),
		cmocka_unit_test(test_prompt_lengths),
		cmocka_unit_test(test_context_end),
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_caller_stops),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
