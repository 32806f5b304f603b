// SPDX-License-Identifier: MIT
/*
 * Serving: each request gets the tokens that it gets alone, whoever is beside it
 * and whatever happens to those, on one device or two.
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

#include "runtime/xfer.h"

#include "serve_world.h"

/* The position of rows that the device is made to refuse, 0 for none, and how often it was. */
static uint32_t poisoned_position;
static uint32_t steps_poisoned;

int __real_tandem_step_start(struct tandem_instance *instance, const struct tandem_step *step,
			     struct tandem_operation *op);
int __wrap_tandem_step_start(struct tandem_instance *instance, const struct tandem_step *step,
			     struct tandem_operation *op);

/* A row that the device refuses, and the step with it. */
int __wrap_tandem_step_start(struct tandem_instance *instance, const struct tandem_step *step,
			     struct tandem_operation *op)
{
	struct tandem_step_row rows[REQUESTS];
	struct tandem_step poisoned = *step;

	assert_true(step->count <= REQUESTS);
	memcpy(rows, step->rows, step->count * sizeof(*rows));
	poisoned.rows = rows;
	for (uint32_t i = 0; i < step->count; i++)
		if (poisoned_position && rows[i].position == poisoned_position) {
			rows[i].token = UINT32_MAX;
			steps_poisoned++;
		}
	return __real_tandem_step_start(instance, &poisoned, op);
}

/* @count clients, of all lengths, in an order that @stride gives; some come later. */
static void check_batch(const char *transport, uint32_t count, uint32_t stride, bool late)
{
	struct tandem_scheduler_stats stats;

	open_scheduler(transport, (struct tandem_scheduler_options) { 0 });
	for (uint32_t i = 0; i < count; i++) {
		start(&world.client[i * stride % REQUESTS], false, 0);
		for (uint32_t turn = 0; late && turn < i % 4; turn++)
			assert_true(tandem_loop_run(world.loop, -1) >= 0);
	}
	for (uint32_t i = 0; i < count; i++)
		check_served(&world.client[i * stride % REQUESTS]);
	tandem_scheduler_get_stats(world.scheduler, &stats);
	assert_int_equal(stats.finished, count);
	assert_int_equal(stats.active + stats.waiting + stats.failed, 0);
	print_message("# %u requests: %u at once at most, %.1f on average\n", count,
		      stats.batch_greatest, (double)stats.step_rows / (double)stats.steps);
	/* With two devices, decode may be through with some before others are read. */
	assert_true(transport || late || count < 8 || stats.batch_greatest >= 4);
	close_scheduler();
}

static void check_batches(const char *transport)
{
	check_batch(transport, 1, 7, false);
	check_batch(transport, 8, 37, false);
	check_batch(transport, 8, 5, true);
	check_batch(transport, REQUESTS, 1, false);
	check_batch(transport, REQUESTS, 63, false);
	check_batch(transport, REQUESTS, 19, true);
}

static void test_batches(void **state)
{
	(void)state;
	for_each_way(check_batches);
}

/* With reuse, whoever finds what others have computed says the same. */
static void check_reuse(const char *transport)
{
	struct client *first = &world.client[REQUESTS - 1];
	uint32_t cached = 0;

	open_scheduler(transport, (struct tandem_scheduler_options) { 0 });
	start(first, true, 0);
	check_served(first);
	for (int i = 0; i < REQUESTS; i++)
		start(&world.client[i], true, 0);
	for (int i = 0; i < REQUESTS; i++) {
		check_served(&world.client[i]);
		cached += world.client[i].result.stats.cached_tokens;
	}
	assert_true(cached >= (first->prompt_tokens - 1) / BLOCK_TOKENS * BLOCK_TOKENS);
	close_scheduler();
	tandem_kv_pool_evict(pool_of(0), UINT32_MAX);
	tandem_kv_pool_evict(pool_of(1), UINT32_MAX);
}

static void test_reuse(void **state)
{
	(void)state;
	for_each_way(check_reuse);
}

static void check_long_prompt(const char *transport)
{
	open_scheduler(transport, (struct tandem_scheduler_options) { 0 });
	start(&world.big, false, 0);
	for (int i = 0; i < 4; i++)
		start(&world.client[i], false, 0);
	check_served(&world.big);
	for (int i = 0; i < 4; i++) {
		check_served(&world.client[i]);
		assert_true(world.client[i].place < world.big.place);
	}
	close_scheduler();
}

/* It comes first, and has its first token last. */
static void test_long_prompt(void **state)
{
	(void)state;
	for_each_way(check_long_prompt);
}

/*
 * Bad neighbours
 */

static void expect_refusal(const struct tandem_request *request, int expected, const char *word)
{
	struct tandem_request_result result = { 0 };
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_request_start(world.scheduler, request, &result, &op), expected);
	assert_int_equal(result.error.code, expected);
	assert_false(op.pending);
	if (!strstr(result.error.message, word))
		fail_msg("'%s' does not name '%s'", result.error.message, word);
}

static void check_refusals(const char *transport)
{
	struct tandem_request request;
	uint32_t strange[2] = { 1, world.info.vocabulary };
	uint32_t *endless = calloc(world.info.context + 1, sizeof(*endless));
	struct tandem_kv_sequence hog;

	open_scheduler(transport, (struct tandem_scheduler_options) { 0 });
	for (int i = 0; i < 8; i++)
		start(&world.client[i], false, 0);
	request = request_of(&world.client[9], false);
	request.prompt_tokens = 0;
	expect_refusal(&request, -EINVAL, "prompt");
	request = request_of(&world.client[9], false);
	request.sampling.temperature = -1.0f;
	expect_refusal(&request, -EINVAL, "temperature");
	request = request_of(&world.client[9], false);
	request.prompt = strange;
	request.prompt_tokens = 2;
	expect_refusal(&request, -EINVAL, "vocabulary");
	request.prompt = endless;
	request.prompt_tokens = world.info.context + 1;
	expect_refusal(&request, -EINVAL, "context");
	for (int i = 0; i < 8; i++)
		check_served(&world.client[i]);
	/* Blocks that others hold, all of them: it is told so, and does not wait for ever. */
	tandem_kv_sequence_init(&hog, pool_of(1));
	assert_int_equal(tandem_kv_sequence_reserve(&hog,
				tandem_kv_pool_free_blocks(pool_of(1)) * BLOCK_TOKENS), 0);
	start(&world.client[0], false, 0);
	check_ended(&world.client[0], -ENOSPC);
	tandem_kv_sequence_release(&hog);
	close_scheduler();
	free(endless);
}

static void test_refusals(void **state)
{
	(void)state;
	for_each_way(check_refusals);
}

/* The queue is bounded, and so is each tenant's part of it. */
static void test_queue(void **state)
{
	static const struct tandem_kv_salt greedy = { .bytes = { 1 } }, modest = { .bytes = { 2 } };
	struct tandem_request request;

	(void)state;
	open_scheduler(NULL, (struct tandem_scheduler_options) {
		.active_max = 1, .waiting_max = 6, .tenant_waiting_max = 4 });
	for (int i = 0; i < 6; i++) {
		struct client *client = &world.client[i];

		client->count = 0;
		request = request_of(client, false);
		request.salt = i < 4 ? &greedy : &modest;
		assert_int_equal(tandem_request_start(world.scheduler, &request, &client->result,
						      &client->op), 0);
		if (i != 3)
			continue;
		request = request_of(&world.client[9], false);
		request.salt = &greedy;
		expect_refusal(&request, -EAGAIN, "tenant");
	}
	request = request_of(&world.client[9], false);
	expect_refusal(&request, -EAGAIN, "waiting");
	for (int i = 0; i < 6; i++)
		check_served(&world.client[i]);
	close_scheduler();
}

/* Those of one tenant that came first do not keep the other from its turn. */
static void test_turns(void **state)
{
	static const struct tandem_kv_salt greedy = { .bytes = { 1 } }, modest = { .bytes = { 2 } };
	struct tandem_request request;

	(void)state;
	open_scheduler(NULL, (struct tandem_scheduler_options) { .active_max = 2 });
	for (int i = 0; i < 9; i++) {
		struct client *client = &world.client[i];

		client->count = 0;
		request = request_of(client, false);
		request.salt = i < 8 ? &greedy : &modest;
		assert_int_equal(tandem_request_start(world.scheduler, &request, &client->result,
						      &client->op), 0);
	}
	for (int i = 0; i < 9; i++)
		check_served(&world.client[i]);
	for (int i = 2; i < 8; i++)
		assert_true(world.client[8].place < world.client[i].place);
	close_scheduler();
}

/* It may have been over before it was cancelled. Return: whether it was not. */
static bool check_cancelled(struct client *client)
{
	run_until_ended(client);
	if (!client->op.result) {
		check_served(client);
		return false;
	}
	check_ended(client, -ECANCELED);
	return true;
}

static void check_cancellation(const char *transport)
{
	struct client *client = world.client;
	uint32_t cancelled = 0;

	/* The last ones wait. */
	open_scheduler(transport, (struct tandem_scheduler_options) { .active_max = 12 });
	for (int turns = 0; turns < 12; turns += transport ? 1 : 3) {
		start(&world.big, false, 0);
		for (int i = 0; i < 16; i++)
			start(&client[i], false, 0);
		/* One by its neighbour, one by itself, one by its successor. */
		client[1].cancel = &client[2];
		client[1].cancel_at = 3;
		client[4].cancel = &client[4];
		client[4].cancel_at = 5;
		client[7].cancel = &client[6];
		client[7].cancel_at = 1;
		for (int i = 0; i < turns; i++)
			assert_true(tandem_loop_run(world.loop, -1) >= 0);
		tandem_cancel(world.loop, &world.big.op);
		tandem_cancel(world.loop, &client[15].op);
		cancelled += check_cancelled(&world.big) + check_cancelled(&client[15]) +
			     check_cancelled(&client[2]) + check_cancelled(&client[6]);
		check_ended(&client[4], -ECANCELED);
		assert_int_equal(client[4].count, 5);
		for (int i = 0; i < 15; i++)
			if (i != 2 && i != 4 && i != 6)
				check_served(&client[i]);
		assert_int_equal(used_of(0) + used_of(1), 0);
	}
	/* At the first turn nothing has begun. */
	assert_true(cancelled >= 2);
	close_scheduler();
}

static void test_cancellation(void **state)
{
	(void)state;
	for_each_way(check_cancellation);
}

static void check_deadline(const char *transport)
{
	open_scheduler(transport, (struct tandem_scheduler_options) { 0 });
	for (int i = 0; i < 8; i++)
		start(&world.client[i], false, 0);
	start(&world.big, false, 1);
	check_ended(&world.big, -ETIMEDOUT);
	assert_non_null(strstr(world.big.result.error.message, "1 ms"));
	for (int i = 0; i < 8; i++)
		check_served(&world.client[i]);
	/* The connection still works. */
	start(&world.big, false, 0);
	check_served(&world.big);
	close_scheduler();
}

static void test_deadline(void **state)
{
	(void)state;
	for_each_way(check_deadline);
}

static void check_fault(const char *transport)
{
	struct client *victim = &world.big;

	open_scheduler(transport, (struct tandem_scheduler_options) { 0 });
	start(victim, false, 0);
	/* Those that others have not got that far. */
	poisoned_position = victim->prompt_tokens + 4;
	steps_poisoned = 0;
	for (int i = 0; i < 24; i++)
		start(&world.client[i], false, 0);
	run_until_ended(victim);
	assert_int_equal(victim->op.result, -EINVAL);
	assert_int_equal(victim->count, 5);
	assert_memory_equal(victim->tokens, victim->alone, 5 * sizeof(uint32_t));
	for (int i = 0; i < 24; i++)
		check_served(&world.client[i]);
	assert_true(steps_poisoned >= 1);
	poisoned_position = 0;
	close_scheduler();
}

/* Its neighbours' step fails with it, and they do not notice. */
static void test_fault(void **state)
{
	(void)state;
	for_each_way(check_fault);
}

/* A batch in the middle of which one row is bad, for certain. */
static void test_fault_in_batch(void **state)
{
	uint32_t repeated = 0;

	(void)state;
	open_scheduler(NULL, (struct tandem_scheduler_options) { 0 });
	/* The longest of these gets there, and by then the others have company. */
	poisoned_position = world.client[REQUESTS - 1].prompt_tokens + 2;
	steps_poisoned = 0;
	for (int i = 0; i < 12; i++)
		start(&world.client[i], false, 0);
	start(&world.client[REQUESTS - 1], false, 0);
	check_ended(&world.client[REQUESTS - 1], -EINVAL);
	assert_int_equal(world.client[REQUESTS - 1].count, 3);
	for (int i = 0; i < 12; i++) {
		check_served(&world.client[i]);
		repeated += world.client[i].result.stats.steps_repeated;
	}
	/* With the others, and alone. */
	assert_int_equal(steps_poisoned, 2);
	assert_true(repeated > 0);
	poisoned_position = 0;
	close_scheduler();
}

/* Far more than the pool has room for at once. */
static void test_pressure(void **state)
{
	struct tandem_kv_sequence hog;
	const uint32_t left = 3 * ((PROMPT_MAX + TOKENS) / BLOCK_TOKENS + 1);

	(void)state;
	open_scheduler("local", (struct tandem_scheduler_options) { 0 });
	tandem_kv_sequence_init(&hog, pool_of(1));
	assert_int_equal(tandem_kv_sequence_reserve(&hog,
		(tandem_kv_pool_free_blocks(pool_of(1)) - left) * BLOCK_TOKENS), 0);
	for (int i = 0; i < REQUESTS; i++)
		start(&world.client[i], i % 2, 0);
	for (int i = 0; i < REQUESTS; i++)
		check_served(&world.client[i]);
	tandem_kv_sequence_release(&hog);
	close_scheduler();
}

static void check_destroy(const char *transport)
{
	for (int turns = 0; turns < 8; turns++) {
		open_scheduler(transport, (struct tandem_scheduler_options) { .active_max = 6 });
		start(&world.big, false, 0);
		for (int i = 0; i < 10; i++)
			start(&world.client[i], false, 0);
		for (int i = 0; i < turns * 4; i++)
			assert_true(tandem_loop_run(world.loop, -1) >= 0);
		close_scheduler();
		assert_false(world.big.op.pending);
		for (int i = 0; i < 10; i++) {
			assert_false(world.client[i].op.pending);
			assert_true(!world.client[i].op.result ||
				    world.client[i].op.result == -ECANCELED);
		}
	}
}

static void test_destroy(void **state)
{
	(void)state;
	for_each_way(check_destroy);
}

/* Whoever needs the connection fails, nobody hangs. */
static void test_connection_lost(void **state)
{
	(void)state;
	open_scheduler("tcp", (struct tandem_scheduler_options) { 0 });
	start(&world.client[0], false, 0);
	while (!world.client[0].count)
		assert_true(tandem_loop_run(world.loop, -1) >= 0);
	start(&world.big, false, 0);
	assert_true(tandem_loop_run(world.loop, -1) >= 0);
	connection_fail(world.side[0], -ECONNRESET);
	run_until_ended(&world.big);
	assert_true(world.big.op.result < 0);
	/* Its KV cache was there already. */
	check_served(&world.client[0]);
	start(&world.client[1], false, 0);
	run_until_ended(&world.client[1]);
	assert_true(world.client[1].op.result < 0);
	close_scheduler();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_long_prompt),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_cancellation),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_fault_in_batch),
		cmocka_unit_test(test_pressure),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_connection_lost),
	};

	return cmocka_run_group_tests_name("generate: serving", tests, serve_setup,
					   serve_teardown);
}
