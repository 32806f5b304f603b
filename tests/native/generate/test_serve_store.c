// SPDX-License-Identifier: MIT
/*
 * Serving with a store behind the pools: one that has what was said before, and one
 * that does not answer.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/loop.h"

#include "serve_world.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silent_stores),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests_name("generate: serving, with a store", tests, serve_setup,
					   serve_teardown);
}
