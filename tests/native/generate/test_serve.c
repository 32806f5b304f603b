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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <tandem/tandem.h>

#include "runtime/loop.h"
#include "runtime/xfer.h"

#include "../support/shared_data.h"

#define REQUESTS	64
#define PROMPT_MAX	100
#define TOKENS		12
#define LONG_PROMPT	(world.info.context - TOKENS)
#define BLOCK_TOKENS	16
#define ROWS_MAX	32
#define DEMO_MODEL	"tools/demo-model/tandem-demo.gguf"

/**
 * struct client - who asks for something
 * @prompt: token ids
 * @alone: what comes when nobody is beside it, @alone_count tokens
 * @tokens: what has come, @count tokens
 * @place: the how many-th of all it was to get its first token
 * @cancel: whom to cancel when it gets token number @cancel_at
 */
struct client {
	uint32_t prompt[1024];
	uint32_t prompt_tokens;
	float temperature;
	uint32_t alone[TOKENS];
	uint32_t alone_count;
	uint32_t tokens[TOKENS];
	uint32_t count;
	uint32_t place;
	struct client *cancel;
	uint32_t cancel_at;
	struct tandem_operation op;
	struct tandem_request_result result;
};

/* What requests are served with; the devices and the model are there all the time. */
static struct {
	struct tandem_loop *loop;
	struct tandem_model *model;
	struct tandem_model_info info;
	struct tandem_device *device[2];
	struct tandem_instance *instance[2];
	struct tandem_connection *side[2];
	struct tandem_scheduler *scheduler;
	struct client client[REQUESTS];
	struct client big;
	uint32_t first_tokens;
	uint32_t poisoned_position;
	uint32_t steps_poisoned;
} world;

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
		if (world.poisoned_position && rows[i].position == world.poisoned_position) {
			rows[i].token = UINT32_MAX;
			world.steps_poisoned++;
		}
	return __real_tandem_step_start(instance, &poisoned, op);
}

static struct tandem_kv_pool *pool_of(int i)
{
	return tandem_instance_kv_pool(world.instance[i]);
}

static uint32_t used_of(int i)
{
	struct tandem_kv_pool_stats stats;

	tandem_kv_pool_get_stats(pool_of(i), &stats);
	return stats.used;
}

/*
 * Clients
 */

static int take_token(void *user, uint32_t token)
{
	struct client *client = user;

	assert_true(client->count < TOKENS);
	if (!client->count)
		client->place = world.first_tokens++;
	client->tokens[client->count++] = token;
	if (client->cancel && client->count == client->cancel_at)
		tandem_cancel(world.loop, &client->cancel->op);
	return 0;
}

static struct tandem_request request_of(struct client *client, bool reuse)
{
	return (struct tandem_request) {
		.prompt = client->prompt,
		.prompt_tokens = client->prompt_tokens,
		.tokens_max = TOKENS,
		.sampling = { .temperature = client->temperature, .top_k = 20,
			      .repeat_penalty = client->temperature > 0 ? 1.1f : 0,
			      .seed = client->prompt_tokens },
		.no_prefix_cache = !reuse,
		.on_token = take_token,
		.user = client,
	};
}

static void start(struct client *client, bool reuse, unsigned int timeout_ms)
{
	struct tandem_request request = request_of(client, reuse);

	request.timeout_ms = timeout_ms;
	client->count = 0;
	if (tandem_request_start(world.scheduler, &request, &client->result, &client->op))
		fail_msg("%s", client->result.error.message);
}

static void run_until_ended(struct client *client)
{
	while (client->op.pending)
		assert_true(tandem_loop_run(world.loop, -1) >= 0);
}

/* All of it came, and it is what comes alone. */
static void check_served(struct client *client)
{
	run_until_ended(client);
	if (client->op.result)
		fail_msg("%s", client->result.error.message);
	assert_int_equal(client->count, client->alone_count);
	assert_memory_equal(client->tokens, client->alone, client->count * sizeof(uint32_t));
	assert_int_equal(client->result.stats.generated, client->count);
}

/* What came before it ended is the beginning of what comes alone. */
static void check_ended(struct client *client, int result)
{
	run_until_ended(client);
	assert_int_equal(client->op.result, result);
	assert_int_equal(client->result.error.code, result);
	assert_true(client->count <= client->alone_count);
	assert_memory_equal(client->tokens, client->alone, client->count * sizeof(uint32_t));
}

static void write_alone(struct client *client)
{
	const struct tandem_generation generation = {
		.prefill = world.instance[1],
		.decode = world.instance[1],
		.prompt = client->prompt,
		.prompt_tokens = client->prompt_tokens,
		.tokens_max = TOKENS,
		.sampling = { .temperature = client->temperature, .top_k = 20,
			      .repeat_penalty = client->temperature > 0 ? 1.1f : 0,
			      .seed = client->prompt_tokens },
		.no_prefix_cache = 1,
		.on_token = take_token,
		.user = client,
	};
	struct tandem_error error = { 0 };

	client->count = 0;
	if (tandem_generate(world.loop, &generation, NULL, &error))
		fail_msg("%s", error.message);
	memcpy(client->alone, client->tokens, sizeof(client->alone));
	client->alone_count = client->count;
}

/*
 * Serving
 */

static void introduce(struct tandem_connection *from, struct tandem_connection *to)
{
	unsigned char description[TANDEM_DESCRIPTION_MAX];
	int size = tandem_connection_describe(from, description, sizeof(description));

	assert_true(size > 0);
	assert_int_equal(tandem_connection_connect(to, description, (size_t)size, NULL), 0);
}

/* Over @transport, or aggregated without one. */
static void open_scheduler(const char *transport, struct tandem_scheduler_options options)
{
	/* Less than all of them would like to send at once. */
	struct tandem_connection_options connection = {
		.gid_index = -1,
		.grants = 1,
		.pushes_max = 3,
	};
	struct tandem_error error = { 0 };

	options.prefill = world.instance[transport ? 0 : 1];
	options.decode = world.instance[1];
	if (transport) {
		connection.transport = (enum tandem_transport)tandem_transport_parse(transport);
		for (int i = 0; i < 2; i++)
			if (tandem_connection_open(world.loop, pool_of(i), &connection,
						   &world.side[i], &error))
				fail_msg("%s", error.message);
		introduce(world.side[0], world.side[1]);
		introduce(world.side[1], world.side[0]);
		options.push = world.side[0];
		options.receive = world.side[1];
	}
	if (tandem_scheduler_create(world.loop, &options, &world.scheduler, &error))
		fail_msg("%s", error.message);
	world.first_tokens = 0;
}

static void close_scheduler(void)
{
	tandem_scheduler_destroy(world.scheduler);
	world.scheduler = NULL;
	for (int i = 0; i < 2; i++) {
		tandem_connection_close(world.side[i]);
		world.side[i] = NULL;
		assert_int_equal(used_of(i), 0);
	}
	for (int i = 0; i < REQUESTS; i++)
		world.client[i].cancel = NULL;
	world.big.cancel = NULL;
}

static const char *const ways[] = { NULL, "local", "tcp" };

static void for_each_way(void (*check)(const char *transport))
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		print_message("# %s\n", ways[i] ? ways[i] : "aggregated");
		check(ways[i]);
	}
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

/**
 * struct silent_store - it would have everything, but its disk does not answer
 * @asked: how often it was
 * @hung: what the disk has, and a cancel does not take away from it
 */
struct silent_store {
	int asked;
	struct tandem_operation *hung;
};

static int ignore_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	(void)op;
	return 0;
}

static int bring_never(void *user, const struct tandem_kv_content *content, uint32_t block,
		       struct tandem_operation *op)
{
	struct silent_store *store = user;

	(void)content;
	(void)block;
	assert_null(store->hung);
	store->asked++;
	store->hung = op;
	return operation_begin(op, ignore_cancel, store);
}

static void open_stores(struct silent_store *stores, unsigned int wait_ms)
{
	for (int i = 0; i < 2; i++) {
		const struct tandem_kv_store functions = {
			.bring = bring_never, .user = &stores[i],
		};

		stores[i] = (struct silent_store) { 0 };
		tandem_kv_pool_set_store(pool_of(i), &functions);
		tandem_kv_pool_set_store_wait(pool_of(i), wait_ms);
	}
}

/* Their disks answer at last. */
static void close_stores(struct silent_store *stores)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(used_of(i), stores[i].hung != NULL);
		if (stores[i].hung)
			operation_post(world.loop, stores[i].hung, 0);
	}
	while (used_of(0) || used_of(1))
		assert_true(tandem_loop_run(world.loop, -1) >= 0);
	for (int i = 0; i < 2; i++) {
		tandem_kv_pool_set_store(pool_of(i), NULL);
		tandem_kv_pool_set_store_wait(pool_of(i), 0);
		tandem_kv_pool_evict(pool_of(i), UINT32_MAX);
	}
}

static void check_silent_stores(const char *transport)
{
	struct client *first = &world.client[REQUESTS - 1], *second = &world.client[5];
	struct silent_store stores[2];

	open_scheduler(transport, (struct tandem_scheduler_options) { 0 });
	open_stores(stores, 20);
	start(first, true, 0);
	check_served(first);
	assert_true(first->result.stats.restore_ns > 0);
	assert_int_equal(first->result.stats.restored_tokens, 0);
	/* The next ones do not wait for it. */
	tandem_kv_pool_set_store_wait(pool_of(0), UINT32_MAX);
	tandem_kv_pool_set_store_wait(pool_of(1), UINT32_MAX);
	start(second, true, 0);
	check_served(second);
	assert_int_equal(second->result.stats.restore_ns, 0);
	assert_int_equal(stores[0].asked, transport != NULL);
	assert_int_equal(stores[1].asked, 1);
	close_stores(stores);
	/* Who is over while it waits for one is told so, whatever the disk does. */
	open_stores(stores, UINT32_MAX);
	start(first, true, 1);
	check_ended(first, -ETIMEDOUT);
	assert_non_null(strstr(first->result.error.message, "restoring"));
	assert_int_equal(stores[1].asked, 1);
	close_stores(stores);
	close_scheduler();
}

static void test_silent_stores(void **state)
{
	(void)state;
	for_each_way(check_silent_stores);
}

/* Its tokens become part of what is asked next, @more of them follow. */
static void go_on(struct client *next, const struct client *before, uint32_t more)
{
	*next = (struct client) { .prompt_tokens = before->prompt_tokens + before->count + more };
	memcpy(next->prompt, before->prompt, before->prompt_tokens * sizeof(uint32_t));
	memcpy(next->prompt + before->prompt_tokens, before->tokens,
	       before->count * sizeof(uint32_t));
	for (uint32_t i = 0; i < more; i++)
		next->prompt[before->prompt_tokens + before->count + i] = 5 + i;
	write_alone(next);
}

static void flush(struct tandem_kv_file *file)
{
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_kv_file_flush_start(file, &op), 0);
	assert_int_equal(tandem_loop_wait(world.loop, &op, -1), 0);
}

/*
 * A conversation goes on when neither pool knows of it any more, but the file behind
 * both does: of the prompt and of what was answered.
 */
static void check_file(const char *transport)
{
	static struct client first, second;
	const uint32_t blocks = 6, prompt = blocks * BLOCK_TOKENS - TOKENS / 2;
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(pool_of(0));
	char path[] = "/tmp/tandem-serve-XXXXXX";
	const struct tandem_generation_stats *stats = &second.result.stats;
	struct tandem_error error = { 0 };
	struct tandem_kv_file *file;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	if (tandem_kv_file_open(world.loop, pool_of(1), path, 1 << 24, 0, &file, &error) ||
	    (transport && tandem_kv_file_add_pool(file, pool_of(0), &error)))
		fail_msg("%s", error.message);
	for (int i = 0; i < 2; i++)
		tandem_kv_pool_set_store_wait(pool_of(i), UINT32_MAX);
	open_scheduler(transport, (struct tandem_scheduler_options) { 0 });
	memcpy(first.prompt, world.client[REQUESTS - 1].prompt, prompt * sizeof(uint32_t));
	first.prompt_tokens = prompt;
	write_alone(&first);
	start(&first, true, 0);
	check_served(&first);
	assert_int_equal(first.count, TOKENS);
	flush(file);
	go_on(&second, &first, 3);
	start(&second, true, 0);
	check_served(&second);
	assert_int_equal(stats->restored_tokens, blocks * BLOCK_TOKENS);
	assert_int_equal(stats->cached_tokens, blocks * BLOCK_TOKENS);
	if (transport) {
		assert_int_equal(stats->kv_restored_tokens, blocks * BLOCK_TOKENS);
		assert_int_equal(stats->kv_cached_tokens, blocks * BLOCK_TOKENS);
		/* What comes behind these is in one block. */
		assert_int_equal(stats->kv_bytes, layout->layers * tandem_kv_block_bytes(layout));
	}
	close_scheduler();
	tandem_kv_file_close(file);
	unlink(path);
	for (int i = 0; i < 2; i++) {
		tandem_kv_pool_set_store_wait(pool_of(i), 0);
		tandem_kv_pool_evict(pool_of(i), UINT32_MAX);
	}
}

static void test_file(void **state)
{
	(void)state;
	for_each_way(check_file);
}

static void check_fault(const char *transport)
{
	struct client *victim = &world.big;

	open_scheduler(transport, (struct tandem_scheduler_options) { 0 });
	start(victim, false, 0);
	/* Those that others have not got that far. */
	world.poisoned_position = victim->prompt_tokens + 4;
	world.steps_poisoned = 0;
	for (int i = 0; i < 24; i++)
		start(&world.client[i], false, 0);
	run_until_ended(victim);
	assert_int_equal(victim->op.result, -EINVAL);
	assert_int_equal(victim->count, 5);
	assert_memory_equal(victim->tokens, victim->alone, 5 * sizeof(uint32_t));
	for (int i = 0; i < 24; i++)
		check_served(&world.client[i]);
	assert_true(world.steps_poisoned >= 1);
	world.poisoned_position = 0;
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
	world.poisoned_position = world.client[REQUESTS - 1].prompt_tokens + 2;
	world.steps_poisoned = 0;
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
	assert_int_equal(world.steps_poisoned, 2);
	assert_true(repeated > 0);
	world.poisoned_position = 0;
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

/*
 * The world
 */

static void open_devices(void)
{
	static const char *const names[2] = { "inproc:trn2,cores=1", "inproc:wse3,cores=1" };
	const struct tandem_instance_options options = {
		.kv_type = 1,
		.block_tokens = BLOCK_TOKENS,
		.kv_tokens = REQUESTS * (PROMPT_MAX + TOKENS + BLOCK_TOKENS) + world.info.context,
		.rows_max = ROWS_MAX + BLOCK_TOKENS * 2,
		.batch_max = REQUESTS,
	};
	struct tandem_error error = { 0 };

	for (int i = 0; i < 2; i++)
		if (tandem_device_open(world.loop, names[i], &world.device[i], &error) ||
		    tandem_instance_create(world.loop, world.device[i], world.model, &options,
					   &world.instance[i], &error))
			fail_msg("%s", error.message);
}

static void make_client(struct client *client, uint32_t number, uint32_t tokens)
{
	client->prompt_tokens = tokens;
	client->temperature = number % 4 == 3 ? 0.8f : 0.0f;
	for (uint32_t i = 0; i < tokens; i++)
		client->prompt[i] = 3 + (i * i + (i < 40 ? 0 : number) * 31 + i * 17) %
					(world.info.vocabulary - 3);
	write_alone(client);
}

static int setup(void **state)
{
	struct tandem_error error = { 0 };
	char path[512];

	(void)state;
	if (!shared_data_path("data/models/stories260K.gguf", path, sizeof(path)))
		snprintf(path, sizeof(path), "%s", DEMO_MODEL);
	print_message("# model %s\n", path);
	if (tandem_loop_create(&world.loop, &error) ||
	    tandem_model_load(path, &world.model, &error))
		fail_msg("%s", error.message);
	tandem_model_get_info(world.model, &world.info);
	open_devices();
	/* Of many lengths, around those of blocks and programs, and alike at the beginning. */
	for (uint32_t i = 0; i < REQUESTS; i++)
		make_client(&world.client[i], i, i == REQUESTS - 1 ? PROMPT_MAX :
						 1 + i * 7 % (PROMPT_MAX - 8));
	make_client(&world.big, 0, LONG_PROMPT);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		tandem_instance_destroy(world.instance[i]);
		tandem_device_close(world.device[i]);
	}
	tandem_model_free(world.model);
	tandem_loop_destroy(world.loop);
	return 0;
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
		cmocka_unit_test(test_silent_stores),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_fault_in_batch),
		cmocka_unit_test(test_pressure),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_connection_lost),
	};

	return cmocka_run_group_tests_name("generate: serving", tests, setup, teardown);
}
