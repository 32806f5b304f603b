// SPDX-License-Identifier: MIT
/*
 * Decode steps of a batch: tokens, the likeliest or drawn, are those of each
 * sequence alone, however many are together and in whatever order they come and
 * go.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tandem/tandem.h>

#include "../support/shared_data.h"

#define BATCH_MAX	64
/* Tokens of a prompt and of what follows. */
#define PROMPT_MAX	40
#define TOKENS		24

/**
 * struct story - a sequence, and what is to come of it
 * @prompt: its beginning
 * @prompt_count: tokens of it
 * @sampling: how its tokens are chosen
 * @alone: its tokens when nothing is beside it
 * @kv: its blocks while it runs
 * @history: prompt and tokens so far
 * @tokens: tokens so far, the end of @history
 * @count: how many
 */
struct story {
	uint32_t prompt[PROMPT_MAX];
	uint32_t prompt_count;
	struct tandem_sampling sampling;
	uint32_t alone[TOKENS];
	struct tandem_kv_sequence kv;
	uint32_t history[PROMPT_MAX + TOKENS];
	uint32_t *tokens;
	uint32_t count;
};

static struct {
	struct tandem_loop *loop;
	struct tandem_model *model;
	struct tandem_model_info info;
	struct tandem_device *device;
	struct tandem_instance *instance;
	struct story story[BATCH_MAX];
} world;

static void complete(int ret, struct tandem_operation *op)
{
	assert_int_equal(ret, 0);
	assert_int_equal(tandem_loop_wait(world.loop, op, -1), 0);
	assert_int_equal(op->result, 0);
}

/* Read the prompt, and get the first token. */
static void begin(struct story *story)
{
	struct tandem_operation op = { 0 };
	struct tandem_forward forward = {
		.sequence = &story->kv, .tokens = story->prompt, .rows = story->prompt_count,
		.layer_count = world.info.layers, .output = 1, .sampling = &story->sampling,
		.history = story->history, .history_count = story->prompt_count,
	};

	memcpy(story->history, story->prompt, sizeof(story->prompt));
	story->tokens = story->history + story->prompt_count;
	tandem_kv_sequence_init(&story->kv, tandem_instance_kv_pool(world.instance));
	assert_int_equal(tandem_kv_sequence_reserve(&story->kv, story->prompt_count + TOKENS), 0);
	complete(tandem_forward_start(world.instance, &forward, &op), &op);
	story->tokens[0] = tandem_forward_token(world.instance);
	story->count = 1;
}

static void end(struct story *story)
{
	tandem_kv_sequence_release(&story->kv);
	assert_int_equal(story->count, TOKENS);
	assert_memory_equal(story->tokens, story->alone, sizeof(story->alone));
}

/* One step of the stories whose numbers are in @who. */
static void step(const uint32_t *who, uint32_t count)
{
	struct tandem_step_row rows[BATCH_MAX];
	const struct tandem_step step = { .rows = rows, .count = count };
	struct tandem_operation op = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		const struct story *story = &world.story[who[i]];

		rows[i] = (struct tandem_step_row){
			.sequence = &story->kv,
			.token = story->tokens[story->count - 1],
			.position = story->prompt_count + story->count - 1,
			.sampling = &story->sampling,
			.history = story->history,
			.history_count = story->prompt_count + story->count,
		};
	}
	complete(tandem_step_start(world.instance, &step, &op), &op);
	for (uint32_t i = 0; i < count; i++) {
		struct story *story = &world.story[who[i]];

		story->tokens[story->count++] = tandem_step_token(world.instance, i);
	}
}

/* What a story is without company, by programs for one sequence. */
static void write_alone(struct story *story)
{
	begin(story);
	while (story->count < TOKENS) {
		struct tandem_operation op = { 0 };
		struct tandem_forward forward = {
			.sequence = &story->kv, .tokens = &story->tokens[story->count - 1],
			.position = story->prompt_count + story->count - 1, .rows = 1,
			.layer_count = world.info.layers, .output = 1,
			.sampling = &story->sampling, .history = story->history,
			.history_count = story->prompt_count + story->count,
		};

		complete(tandem_forward_start(world.instance, &forward, &op), &op);
		story->tokens[story->count++] = tandem_forward_token(world.instance);
	}
	memcpy(story->alone, story->tokens, sizeof(story->alone));
	tandem_kv_sequence_release(&story->kv);
}

static void check_batch(uint32_t count)
{
	uint32_t who[BATCH_MAX];

	for (uint32_t i = 0; i < count; i++) {
		who[i] = (i * 37 + 11) % BATCH_MAX;
		begin(&world.story[who[i]]);
	}
	for (int i = 1; i < TOKENS; i++)
		step(who, count);
	for (uint32_t i = 0; i < count; i++)
		end(&world.story[who[i]]);
}

static void test_batch_sizes(void **state)
{
	(void)state;
	check_batch(1);
	check_batch(3);
	check_batch(8);
	check_batch(BATCH_MAX);
}

/* Each step one or two more join, at the front or the back, and who is done leaves. */
static void test_arrivals(void **state)
{
	uint32_t who[BATCH_MAX], count = 0, next = 0, done = 0;

	(void)state;
	while (done < BATCH_MAX) {
		for (uint32_t joined = 0; joined <= next % 2 && next < BATCH_MAX; joined++) {
			if (next % 3) {
				who[count++] = next;
			} else {
				memmove(who + 1, who, count * sizeof(*who));
				who[0] = next;
				count++;
			}
			begin(&world.story[next++]);
		}
		step(who, count);
		for (uint32_t i = 0; i < count;) {
			if (world.story[who[i]].count < TOKENS) {
				i++;
				continue;
			}
			end(&world.story[who[i]]);
			memmove(who + i, who + i + 1, (--count - i) * sizeof(*who));
			done++;
		}
	}
}

static void test_refusals(void **state)
{
	struct story *story = &world.story[0];
	struct tandem_sampling sampling = { .temperature = -1 };
	struct tandem_step_row row = { .sequence = &story->kv };
	struct tandem_step step = { .rows = &row, .count = 1 };
	struct tandem_operation op = { 0 };

	(void)state;
	begin(story);
	step.count = 0;
	assert_int_equal(tandem_step_start(world.instance, &step, &op), -EINVAL);
	step.count = BATCH_MAX + 1;
	assert_int_equal(tandem_step_start(world.instance, &step, &op), -EINVAL);
	step.count = 1;
	row.sampling = &sampling;
	row.position = story->prompt_count;
	assert_int_equal(tandem_step_start(world.instance, &step, &op), -EINVAL);
	sampling = (struct tandem_sampling){ .repeat_penalty = 2 };
	row.history = &world.info.vocabulary;
	row.history_count = 1;
	assert_int_equal(tandem_step_start(world.instance, &step, &op), -EINVAL);
	row.sampling = NULL;
	row.position = world.info.context;
	assert_int_equal(tandem_step_start(world.instance, &step, &op), -EINVAL);
	row.position = story->prompt_count + TOKENS + 16;
	assert_int_equal(tandem_step_start(world.instance, &step, &op), -EINVAL);
	tandem_kv_sequence_release(&story->kv);
}

static int setup(void **state)
{
	const struct tandem_instance_options options = {
		.kv_type = 1, .kv_tokens = BATCH_MAX * (PROMPT_MAX + TOKENS + 16),
		.rows_max = 64, .batch_max = BATCH_MAX,
	};
	struct tandem_error error = { 0 };
	char path[512];

	(void)state;
	shared_model_path(path, sizeof(path));
	print_message("# model %s\n", path);
	if (tandem_loop_create(&world.loop, &error) ||
	    tandem_model_load(path, &world.model, &error) ||
	    tandem_device_open(world.loop, "inproc:wse3,cores=2", &world.device, &error) ||
	    tandem_instance_create(world.loop, world.device, world.model, &options,
				   &world.instance, &error))
		fail_msg("%s", error.message);
	tandem_model_get_info(world.model, &world.info);
	for (uint32_t i = 0; i < BATCH_MAX; i++) {
		struct story *story = &world.story[i];

		story->sampling = (struct tandem_sampling){ 0 };
		/* Of many lengths, around those of a block of 16. */
		story->prompt_count = 1 + i * 7 % PROMPT_MAX;
		for (uint32_t j = 0; j < story->prompt_count; j++)
			story->prompt[j] = 3 + (i * 31 + j * 17) % (world.info.vocabulary - 3);
		write_alone(story);
	}
	return 0;
}

/* Each story its own way: some take the likeliest, some have a penalty. */
static int setup_drawn(void **state)
{
	uint32_t different = 0;
	int ret = setup(state);

	for (uint32_t i = 0; i < BATCH_MAX; i++) {
		struct story *story = &world.story[i];
		uint32_t likeliest[TOKENS];

		memcpy(likeliest, story->alone, sizeof(likeliest));
		story->sampling = (struct tandem_sampling){
			.temperature = (float)(i % 4) / 2,
			.top_k = i % 3 * 20,
			.top_p = i % 5 ? 0.9f : 0,
			.min_p = i % 7 ? 0 : 0.05f,
			.repeat_penalty = i % 2 ? 1.3f : 1,
			.repeat_last = i % 11 * 5,
			/* Neighbours have the same one, at other positions. */
			.seed = i / 2,
		};
		write_alone(story);
		different += !!memcmp(likeliest, story->alone, sizeof(likeliest));
	}
	assert_true(different > BATCH_MAX / 2);
	return ret;
}

static int teardown(void **state)
{
	(void)state;
	tandem_instance_destroy(world.instance);
	tandem_device_close(world.device);
	tandem_model_free(world.model);
	tandem_loop_destroy(world.loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batch_sizes),
		cmocka_unit_test(test_arrivals),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests_name("generate: batches", tests, setup, teardown) +
	       cmocka_run_group_tests_name("generate: batches that draw", tests, setup_drawn,
					   teardown);
}
