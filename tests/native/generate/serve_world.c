// SPDX-License-Identifier: MIT
/* Devices and clients for tests of serving. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../support/shared_data.h"
#include "serve_world.h"

struct serve_world world;

struct tandem_kv_pool *pool_of(int i)
{
	return tandem_instance_kv_pool(world.instance[i]);
}

uint32_t used_of(int i)
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

static struct tandem_sampling sampling_of(const struct client *client)
{
	return (struct tandem_sampling) {
		.temperature = client->temperature,
		.top_k = 20,
		.repeat_penalty = client->temperature > 0 ? 1.1f : 0,
		.seed = client->prompt_tokens,
	};
}

struct tandem_request request_of(struct client *client, bool reuse)
{
	return (struct tandem_request) {
		.prompt = client->prompt,
		.prompt_tokens = client->prompt_tokens,
		.tokens_max = TOKENS,
		.sampling = sampling_of(client),
		.no_prefix_cache = !reuse,
		.on_token = take_token,
		.user = client,
	};
}

void start(struct client *client, bool reuse, unsigned int timeout_ms)
{
	struct tandem_request request = request_of(client, reuse);

	request.timeout_ms = timeout_ms;
	client->count = 0;
	if (tandem_request_start(world.scheduler, &request, &client->result, &client->op))
		fail_msg("%s", client->result.error.message);
}

void run_until_ended(struct client *client)
{
	while (client->op.pending)
		assert_true(tandem_loop_run(world.loop, -1) >= 0);
}

/* All of it came, and it is what comes alone. */
void check_served(struct client *client)
{
	run_until_ended(client);
	if (client->op.result)
		fail_msg("%s", client->result.error.message);
	assert_int_equal(client->count, client->alone_count);
	assert_memory_equal(client->tokens, client->alone, client->count * sizeof(uint32_t));
	assert_int_equal(client->result.stats.generated, client->count);
}

/* What came before it ended is the beginning of what comes alone. */
void check_ended(struct client *client, int result)
{
	run_until_ended(client);
	assert_int_equal(client->op.result, result);
	assert_int_equal(client->result.error.code, result);
	assert_true(client->count <= client->alone_count);
	assert_memory_equal(client->tokens, client->alone, client->count * sizeof(uint32_t));
}

void write_alone(struct client *client)
{
	const struct tandem_generation generation = {
		.prefill = world.instance[1],
		.decode = world.instance[1],
		.prompt = client->prompt,
		.prompt_tokens = client->prompt_tokens,
		.tokens_max = TOKENS,
		.sampling = sampling_of(client),
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
void open_scheduler(const char *transport, struct tandem_scheduler_options options)
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

void close_scheduler(void)
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

void for_each_way(void (*check)(const char *transport))
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		print_message("# %s\n", ways[i] ? ways[i] : "aggregated");
		check(ways[i]);
	}
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

int serve_setup(void **state)
{
	struct tandem_error error = { 0 };
	char path[512];

	(void)state;
	shared_model_path(path, sizeof(path));
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

int serve_teardown(void **state)
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
