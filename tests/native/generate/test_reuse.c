// SPDX-License-Identifier: MIT
/*
 * Prefix reuse: a prompt that begins like one before gives the same tokens as
 * without reuse, and only what is new is computed and moved.
 *
 * With the demo model, and with stories260K where that is present.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tandem/tandem.h>

#include "../support/shared_data.h"

#define BLOCK_TOKENS	16
#define TOKENS_MAX	1024
#define MODELS		2

/* What a prompt of @tokens can have from the cache: all but the last token's block. */
#define CACHED(tokens)	(((tokens) - 1) / BLOCK_TOKENS * BLOCK_TOKENS)

/* A model on two devices. */
struct world {
	struct tandem_loop *loop;
	struct tandem_model *model;
	struct tandem_model_info info;
	struct tandem_device *device[2];
	struct tandem_instance *instance[2];
};

struct output {
	uint32_t tokens[TOKENS_MAX];
	uint32_t count;
	struct tandem_generation_stats stats;
};

static struct world worlds[MODELS];
static uint8_t last_tenant;

static void open_world(struct world *world, const char *path)
{
	const struct tandem_instance_options options = {
		.kv_type = 1,
		.block_tokens = BLOCK_TOKENS,
		/* Small, so that longer prompts take several programs a layer. */
		.rows_max = 32,
	};
	const char *const names[2] = { "inproc:trn2", "inproc:wse3" };
	struct tandem_error error = { 0 };

	if (tandem_loop_create(&world->loop, &error) ||
	    tandem_model_load(path, &world->model, &error))
		fail_msg("%s", error.message);
	tandem_model_get_info(world->model, &world->info);
	for (int i = 0; i < 2; i++)
		if (tandem_device_open(world->loop, names[i], &world->device[i], &error) ||
		    tandem_instance_create(world->loop, world->device[i], world->model, &options,
					   &world->instance[i], &error))
			fail_msg("%s", error.message);
}

static int setup(void **state)
{
	char path[512];

	(void)state;
	open_world(&worlds[0], "tools/demo-model/tandem-demo.gguf");
	if (shared_data_path("data/models/stories260K.gguf", path, sizeof(path)))
		open_world(&worlds[1], path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int m = 0; m < MODELS; m++) {
		for (int i = 0; i < 2; i++) {
			tandem_instance_destroy(worlds[m].instance[i]);
			tandem_device_close(worlds[m].device[i]);
		}
		tandem_loop_destroy(worlds[m].loop);
		tandem_model_free(worlds[m].model);
	}
	return 0;
}

static void for_each_model(void (*check)(struct world *world))
{
	for (int m = 0; m < MODELS; m++) {
		if (!worlds[m].model)
			continue;
		print_message("# %s\n", worlds[m].info.name);
		last_tenant++;
		check(&worlds[m]);
	}
}

static struct tandem_kv_pool *pool_of(const struct world *world, int i)
{
	return tandem_instance_kv_pool(world->instance[i]);
}

static struct tandem_kv_pool_stats stats_of(const struct world *world, int i)
{
	struct tandem_kv_pool_stats stats;

	tandem_kv_pool_get_stats(pool_of(world, i), &stats);
	return stats;
}

static int take_token(void *user, uint32_t token)
{
	struct output *output = user;

	assert_true(output->count < TOKENS_MAX);
	output->tokens[output->count++] = token;
	return 0;
}

static struct tandem_connection *open_connection(struct world *world, int i)
{
	const struct tandem_connection_options options = {
		.transport = TANDEM_TRANSPORT_LOCAL,
		.gid_index = -1,
	};
	struct tandem_connection *connection = NULL;
	struct tandem_error error = { 0 };

	if (tandem_connection_open(world->loop, pool_of(world, i), &options, &connection, &error))
		fail_msg("%s", error.message);
	return connection;
}

static void introduce(struct tandem_connection *from, struct tandem_connection *to)
{
	unsigned char description[TANDEM_DESCRIPTION_MAX];
	int size = tandem_connection_describe(from, description, sizeof(description));

	assert_true(size > 0);
	assert_int_equal(tandem_connection_connect(to, description, (size_t)size, NULL), 0);
}

/* How a run is done: on two devices or one, and for whom; tenant 0 reuses nothing. */
struct way {
	bool split;
	uint8_t tenant;
	float temperature;
	unsigned int timeout_ms;
};

static int try_run(struct world *world, struct way way, const uint32_t *prompt,
		   uint32_t prompt_tokens, uint32_t tokens, struct output *output)
{
	const struct tandem_kv_salt salt = { .bytes = { way.tenant } };
	struct tandem_generation generation = {
		.prefill = world->instance[way.split ? 0 : 1],
		.decode = world->instance[1],
		.prompt = prompt,
		.prompt_tokens = prompt_tokens,
		.tokens_max = tokens,
		.sampling = { .temperature = way.temperature, .seed = 7 },
		.timeout_ms = way.timeout_ms ? way.timeout_ms : 120000,
		.no_prefix_cache = !way.tenant,
		.salt = &salt,
		.on_token = take_token,
		.user = output,
	};
	struct tandem_error error = { 0 };
	int ret;

	if (way.split) {
		generation.push = open_connection(world, 0);
		generation.receive = open_connection(world, 1);
		introduce(generation.push, generation.receive);
		introduce(generation.receive, generation.push);
	}
	output->count = 0;
	ret = tandem_generate(world->loop, &generation, &output->stats, &error);
	tandem_connection_close(generation.push);
	tandem_connection_close(generation.receive);
	if (ret)
		print_message("# %s\n", error.message);
	/* However it ended, nothing is held any more. */
	assert_int_equal(stats_of(world, 0).used, 0);
	assert_int_equal(stats_of(world, 1).used, 0);
	return ret;
}

static void run(struct world *world, struct way way, const uint32_t *prompt,
		uint32_t prompt_tokens, uint32_t tokens, struct output *output)
{
	assert_int_equal(try_run(world, way, prompt, prompt_tokens, tokens, output), 0);
}

static void assert_same(const struct output *one, const struct output *other)
{
	assert_int_equal(one->count, other->count);
	assert_memory_equal(one->tokens, other->tokens, one->count * sizeof(uint32_t));
}

/* Text that the model takes for such, from @variant on something else. */
static void make_prompt(const struct world *world, uint32_t *prompt, uint32_t count,
			uint32_t variant)
{
	static const char text[] =
		"And God said to the people that there was a time when all the land was good, "
		"and a little girl went out to play in the park with her mother and her dog. ";
	uint32_t story[TOKENS_MAX];
	ssize_t length = tandem_tokenizer_encode(tandem_model_tokenizer(world->model), text,
						 strlen(text), 1, story, TOKENS_MAX);

	assert_true(length > 4);
	for (uint32_t i = 0; i < count; i++)
		prompt[i] = i ? story[1 + (i * (i < variant ? 1 : 3)) % (length - 1)] : story[0];
}

static void check_same_prompt(struct world *world, bool split)
{
	const struct way plain = { .split = split }, reuse = { split, last_tenant, 0, 0 };
	/* Around a block, and around a program. */
	static const uint32_t lengths[] = { 1, 16, 17, 50 };
	struct output expected, first, second;
	uint32_t prompt[TOKENS_MAX];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const uint32_t count = lengths[i];
		const uint64_t block = (uint64_t)world->info.layers *
				       tandem_kv_block_bytes(tandem_kv_pool_layout(pool_of(world, 1)));

		make_prompt(world, prompt, count, TOKENS_MAX);
		/* Nothing of the lengths before. */
		tandem_kv_pool_evict(pool_of(world, 0), UINT32_MAX);
		tandem_kv_pool_evict(pool_of(world, 1), UINT32_MAX);
		run(world, plain, prompt, count, 20, &expected);
		run(world, reuse, prompt, count, 20, &first);
		run(world, reuse, prompt, count, 20, &second);
		assert_same(&expected, &first);
		assert_same(&expected, &second);
		assert_int_equal(expected.stats.cached_tokens, 0);
		assert_int_equal(first.stats.cached_tokens, 0);
		assert_int_equal(second.stats.cached_tokens, CACHED(count));
		assert_int_equal(second.stats.kv_cached_tokens, split ? CACHED(count) : 0);
		if (split)
			assert_int_equal(first.stats.kv_bytes - second.stats.kv_bytes,
					 CACHED(count) / BLOCK_TOKENS * block);
	}
}

static void check_same_prompt_aggregated(struct world *world)
{
	check_same_prompt(world, false);
}

static void check_same_prompt_split(struct world *world)
{
	check_same_prompt(world, true);
}

static void check_common_beginning(struct world *world)
{
	struct output expected, reused;
	uint32_t prompt[TOKENS_MAX];

	for (int split = 0; split < 2; split++) {
		const struct way plain = { .split = split };
		const struct way reuse = { split, ++last_tenant, 0, 0 };

		make_prompt(world, prompt, 60, TOKENS_MAX);
		run(world, reuse, prompt, 60, 10, &reused);
		/* In the middle of a block, and at the border of one. */
		for (uint32_t variant = 40; variant <= 48; variant += 8) {
			make_prompt(world, prompt, 70, variant);
			run(world, plain, prompt, 70, 20, &expected);
			run(world, reuse, prompt, 70, 20, &reused);
			assert_same(&expected, &reused);
			assert_int_equal(reused.stats.cached_tokens,
					 variant / BLOCK_TOKENS * BLOCK_TOKENS);
		}
	}
}

/* What the model has said itself is cached as well, for the next question. */
static void check_conversation(struct world *world)
{
	struct output expected, answer;
	uint32_t prompt[TOKENS_MAX];

	for (int split = 0; split < 2; split++) {
		const struct way plain = { .split = split };
		const struct way reuse = { split, ++last_tenant, 0, 0 };
		uint32_t count = 21;

		make_prompt(world, prompt, count, TOKENS_MAX);
		for (int turn = 0; turn < 3; turn++) {
			run(world, plain, prompt, count, 30, &expected);
			run(world, reuse, prompt, count, 30, &answer);
			assert_same(&expected, &answer);
			/* All that was there, in full blocks; prefill's pool lacks answers. */
			if (turn)
				assert_int_equal(split ? answer.stats.kv_cached_tokens :
							 answer.stats.cached_tokens,
						 (count - 8) / BLOCK_TOKENS * BLOCK_TOKENS);
			memcpy(prompt + count, answer.tokens, answer.count * sizeof(uint32_t));
			count += answer.count;
			/* The last token made was not fed back, so its KV is not there. */
			for (int i = 0; i < 7; i++)
				prompt[count++] = prompt[1 + i];
		}
	}
}

static void check_one_side_has_more(struct world *world)
{
	const struct way plain = { .split = true }, reuse = { true, last_tenant, 0, 0 };
	struct output expected, reused;
	uint32_t prompt[TOKENS_MAX];

	make_prompt(world, prompt, 90, TOKENS_MAX);
	run(world, plain, prompt, 90, 15, &expected);
	for (int side = 0; side < 2; side++) {
		run(world, reuse, prompt, 90, 15, &reused);
		/* One side loses the end of it, or all. */
		for (uint32_t lost = 3; lost <= UINT32_MAX / 2; lost += UINT32_MAX / 4) {
			tandem_kv_pool_evict(pool_of(world, side), lost);
			run(world, reuse, prompt, 90, 15, &reused);
			assert_same(&expected, &reused);
		}
		tandem_kv_pool_evict(pool_of(world, side), UINT32_MAX);
		run(world, reuse, prompt, 90, 15, &reused);
		assert_same(&expected, &reused);
		assert_int_equal(reused.stats.cached_tokens, side ? CACHED(90) : 0);
		assert_int_equal(reused.stats.kv_cached_tokens, side ? 0 : CACHED(90));
	}
}

static void check_tenants(struct world *world)
{
	const struct way first = { false, last_tenant, 0, 0 };
	const struct way second = { false, ++last_tenant, 0, 0 };
	const struct way nobody = { false, 0, 0, 0 };
	struct output output;
	uint32_t prompt[TOKENS_MAX], indexed;

	make_prompt(world, prompt, 40, TOKENS_MAX);
	run(world, first, prompt, 40, 5, &output);
	run(world, second, prompt, 40, 5, &output);
	assert_int_equal(output.stats.cached_tokens, 0);
	run(world, second, prompt, 40, 5, &output);
	assert_int_equal(output.stats.cached_tokens, 32);
	indexed = stats_of(world, 1).indexed;
	run(world, nobody, prompt, 40, 5, &output);
	assert_int_equal(output.stats.cached_tokens, 0);
	assert_true(stats_of(world, 1).indexed <= indexed);
}

static void check_seed(struct world *world)
{
	const struct way plain = { false, 0, 1.0f, 0 }, reuse = { false, last_tenant, 1.0f, 0 };
	struct output expected, reused;
	uint32_t prompt[TOKENS_MAX];

	make_prompt(world, prompt, 40, TOKENS_MAX);
	run(world, plain, prompt, 40, 30, &expected);
	for (int i = 0; i < 2; i++) {
		run(world, reuse, prompt, 40, 30, &reused);
		assert_same(&expected, &reused);
	}
	assert_int_equal(reused.stats.cached_tokens, 32);
}

/* Many prompts in a pool that holds a few of them. */
static void check_pressure(struct world *world)
{
	const struct way reuse = { false, last_tenant, 0, 0 };
	const uint32_t lengths[] = { 120, 40, 180, 70, 90 };
	struct output expected, reused;
	uint32_t prompt[TOKENS_MAX];
	uint32_t cached = 0;

	for (uint32_t i = 0; i < 10; i++) {
		const uint32_t count = lengths[i % 5];

		make_prompt(world, prompt, count, 16 * (i % 4));
		run(world, (struct way) { 0 }, prompt, count, 5, &expected);
		run(world, reuse, prompt, count, 5, &reused);
		assert_same(&expected, &reused);
		cached += reused.stats.cached_tokens;
	}
	assert_true(cached > 0);
}

/* Runs that are cut short leave only what was computed by then. */
static void check_cut_short(struct world *world)
{
	struct way hurry = { false, last_tenant, 0, 1 };
	struct output expected, output;
	uint32_t prompt[TOKENS_MAX];

	make_prompt(world, prompt, 200, TOKENS_MAX);
	run(world, (struct way) { 0 }, prompt, 200, 10, &expected);
	for (int i = 0; i < 8; i++) {
		const int ret = try_run(world, hurry, prompt, 200, 10, &output);

		/* A push can find the connection gone before its end was told. */
		assert_true(ret == 0 || ret == -ETIMEDOUT || (hurry.split && ret == -ENOTCONN));
		assert_memory_equal(output.tokens, expected.tokens,
				    output.count * sizeof(uint32_t));
		hurry.timeout_ms += 3;
		hurry.split = i % 2;
	}
	hurry.timeout_ms = 0;
	for (int i = 0; i < 2; i++) {
		hurry.split = i;
		run(world, hurry, prompt, 200, 10, &output);
		assert_same(&expected, &output);
	}
}

static struct world *progress_world;

/* Of the first program's blocks none can be found before its last layer is done. */
static void see_progress(void *user, uint64_t done, uint64_t total)
{
	(void)user;
	(void)total;
	if (done <= progress_world->info.layers)
		assert_int_equal(stats_of(progress_world, 1).indexed, 0);
}

static void check_found_when_computed(struct world *world)
{
	uint32_t prompt[TOKENS_MAX];
	struct tandem_generation generation = {
		.prefill = world->instance[1],
		.decode = world->instance[1],
		.prompt = prompt,
		.prompt_tokens = 40,
		.tokens_max = 1,
		.on_prefill = see_progress,
	};

	progress_world = world;
	tandem_kv_pool_evict(pool_of(world, 1), UINT32_MAX);
	make_prompt(world, prompt, 40, TOKENS_MAX);
	assert_int_equal(tandem_generate(world->loop, &generation, NULL, NULL), 0);
	assert_int_equal(stats_of(world, 1).indexed, 2);
}

static void check_failed_transfer(struct world *world)
{
	uint32_t prompt[TOKENS_MAX];
	struct tandem_generation generation = {
		.prefill = world->instance[0],
		.decode = world->instance[1],
		.prompt = prompt,
		.prompt_tokens = 40,
		.tokens_max = 1,
	};

	tandem_kv_pool_evict(pool_of(world, 0), UINT32_MAX);
	tandem_kv_pool_evict(pool_of(world, 1), UINT32_MAX);
	make_prompt(world, prompt, 40, TOKENS_MAX);
	/* They were never introduced to one another. */
	generation.push = open_connection(world, 0);
	generation.receive = open_connection(world, 1);
	assert_true(tandem_generate(world->loop, &generation, NULL, NULL) < 0);
	assert_int_equal(stats_of(world, 1).free, stats_of(world, 1).blocks);
	assert_int_equal(stats_of(world, 0).used, 0);
	tandem_connection_close(generation.push);
	tandem_connection_close(generation.receive);
}

static int wait_for(struct world *world, struct tandem_operation *op)
{
	return tandem_loop_wait(world->loop, op, 60000);
}

/* Run all layers over @rows tokens of @sequence. Return: the likeliest token. */
static uint32_t forward(struct world *world, struct tandem_kv_sequence *sequence,
			const uint32_t *tokens, uint32_t rows)
{
	const struct tandem_forward forward = {
		.sequence = sequence,
		.tokens = tokens,
		.position = sequence->token_count,
		.rows = rows,
		.layer_count = world->info.layers,
		.output = 1,
	};
	struct tandem_operation copy = { 0 }, op = { 0 };
	int copied;

	copied = tandem_kv_sequence_append(sequence, rows,
					   tandem_instance_queue(world->instance[1]), &copy);
	assert_true(copied >= 0);
	/* It need not wait for the copy: the queue keeps the order. */
	assert_int_equal(tandem_forward_start(world->instance[1], &forward, &op), 0);
	assert_int_equal(wait_for(world, &op), 0);
	if (copied)
		assert_int_equal(wait_for(world, &copy), 0);
	assert_int_equal(tandem_kv_sequence_commit(sequence, tokens, rows), 0);
	return tandem_forward_token(world->instance[1]);
}

/* Two that go on differently from one beginning, in the middle of a block. */
static void check_fork(struct world *world)
{
	struct tandem_kv_sequence trunk, branch, alone;
	uint32_t prompt[TOKENS_MAX], other[TOKENS_MAX];
	uint32_t expected[2][12], token[2];
	const uint64_t copies = stats_of(world, 1).copies;

	make_prompt(world, prompt, 40, TOKENS_MAX);
	make_prompt(world, other, 40, 20);
	for (int i = 0; i < 2; i++) {
		tandem_kv_sequence_init(&alone, pool_of(world, 1));
		token[0] = forward(world, &alone, i ? other : prompt, 25);
		for (int step = 0; step < 12; step++)
			token[0] = expected[i][step] = forward(world, &alone, &token[0], 1);
		tandem_kv_sequence_release(&alone);
	}
	tandem_kv_sequence_init(&trunk, pool_of(world, 1));
	forward(world, &trunk, prompt, 20);
	assert_int_equal(tandem_kv_sequence_fork(&trunk, &branch), 0);
	token[0] = forward(world, &trunk, prompt + 20, 5);
	token[1] = forward(world, &branch, other + 20, 5);
	for (int step = 0; step < 12; step++) {
		token[0] = forward(world, &trunk, &token[0], 1);
		token[1] = forward(world, &branch, &token[1], 1);
		assert_int_equal(token[0], expected[0][step]);
		assert_int_equal(token[1], expected[1][step]);
	}
	assert_int_equal(trunk.blocks[0], branch.blocks[0]);
	assert_int_not_equal(trunk.blocks[1], branch.blocks[1]);
	assert_int_equal(stats_of(world, 1).copies, copies + 1);
	tandem_kv_sequence_release(&trunk);
	tandem_kv_sequence_release(&branch);
}

/* A program may not write to what others hold, and holds what it reads. */
static void check_forward_and_blocks(struct world *world)
{
	struct tandem_kv_sequence sequence;
	struct tandem_kv_sequence fork;
	struct tandem_operation op = { 0 };
	struct tandem_forward forward_one = {
		.sequence = &sequence,
		.tokens = (uint32_t[]){ 1 },
		.rows = 1,
		.layer_count = world->info.layers,
	};
	uint32_t prompt[TOKENS_MAX];

	make_prompt(world, prompt, 20, TOKENS_MAX);
	tandem_kv_sequence_init(&sequence, pool_of(world, 1));
	forward(world, &sequence, prompt, 20);
	assert_int_equal(tandem_kv_sequence_fork(&sequence, &fork), 0);
	forward_one.position = 20;
	assert_int_equal(tandem_forward_start(world->instance[1], &forward_one, &op), -EINVAL);
	tandem_kv_sequence_release(&fork);
	assert_int_equal(tandem_forward_start(world->instance[1], &forward_one, &op), 0);
	tandem_kv_sequence_release(&sequence);
	assert_int_equal(stats_of(world, 1).used, 2);
	assert_int_equal(wait_for(world, &op), 0);
	assert_int_equal(stats_of(world, 1).used, 0);
}

#define MODEL_TEST(name)				\
	static void test_##name(void **state)		\
	{						\
		(void)state;				\
		for_each_model(check_##name);		\
	}

MODEL_TEST(same_prompt_aggregated)
MODEL_TEST(same_prompt_split)
MODEL_TEST(common_beginning)
MODEL_TEST(conversation)
MODEL_TEST(one_side_has_more)
MODEL_TEST(tenants)
MODEL_TEST(seed)
MODEL_TEST(pressure)
MODEL_TEST(cut_short)
MODEL_TEST(found_when_computed)
MODEL_TEST(failed_transfer)
MODEL_TEST(fork)
MODEL_TEST(forward_and_blocks)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_prompt_aggregated),
		cmocka_unit_test(test_same_prompt_split),
		cmocka_unit_test(test_common_beginning),
		cmocka_unit_test(test_conversation),
		cmocka_unit_test(test_one_side_has_more),
		cmocka_unit_test(test_tenants),
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_pressure),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_found_when_computed),
		cmocka_unit_test(test_failed_transfer),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_forward_and_blocks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
