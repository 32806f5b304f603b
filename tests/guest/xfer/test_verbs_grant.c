// SPDX-License-Identifier: MIT
/*
 * A sender that keeps to no rule: it writes by the NIC itself, with keys that it
 * has, or had. The receiver's NIC has to refuse what is not granted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/xfer_verbs.h"
#include "tests/native/xfer/pair.h"

#define FIRST	20u
#define COUNT	4u

static struct pair_kind kind = {
	.name = "verbs",
	.device = { "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" },
	.transport = TANDEM_TRANSPORT_VERBS,
};

static const uint32_t blocks[COUNT] = { FIRST, FIRST + 1, FIRST + 2, FIRST + 3 };

static void open_with_grants(struct pair *pair)
{
	struct tandem_connection_options options;
	int side;

	pair_kind = &kind;
	pair_open(pair, pair_layout);
	options = pair_options();
	options.grants = 1;
	for (side = 0; side < 2; side++)
		assert_int_equal(tandem_connection_open(pair->loop, pair->pool[side], &options,
							&pair->connection[side], NULL), 0);
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
}

static uint64_t grant(struct pair *pair, struct tandem_operation *received)
{
	struct tandem_receive receive = {
		.transfer = 1,
		.layer_count = 1,
		.blocks = blocks,
		.block_count = COUNT,
	};

	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, received), 0);
	return receive.generation;
}

static struct tandem_push push_of(uint32_t first, uint32_t count, uint64_t generation)
{
	struct tandem_push push = {
		.transfer = 1,
		.layer_count = 1,
		.local_blocks = blocks + first,
		.remote_blocks = blocks + first,
		.block_count = count,
		.generation = generation,
	};

	return push;
}

static void push(struct pair *pair, uint32_t first, uint32_t count, uint64_t generation)
{
	struct tandem_push what = push_of(first, count, generation);
	struct tandem_operation sent = { 0 };

	assert_int_equal(tandem_push_start(pair->connection[0], &what, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	pair_shadow_push(pair, &what);
}

/* Write past the library, with the key of the last write that went through it. */
static void write_by_force(struct pair *pair, uint64_t remote_offset, uint64_t length)
{
	struct verbs *verbs = pair->connection[0]->transport;
	struct ibv_sge range = {
		.addr = verbs->local.address,
		.length = length,
		.lkey = verbs->pairs[0]->rail->region->lkey,
	};
	struct ibv_send_wr request = {
		.wr_id = VERBS_WORK_PROBE,
		.sg_list = &range,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = {
			.remote_addr = verbs->remote.address + remote_offset,
			.rkey = verbs->pairs[0]->batch[0].wr.rdma.rkey,
		},
	};
	struct ibv_send_wr *bad;

	assert_int_equal(ibv_post_send(verbs->pairs[0]->queues, &request, &bad), 0);
}

/* Both sides find out, and nothing has landed. */
static void check_refused(struct pair *pair, uint64_t generation)
{
	struct tandem_push what = push_of(0, 1, generation + 1);
	struct tandem_operation sent = { 0 };

	/* Waits for a grant that does not come. */
	assert_int_equal(tandem_push_start(pair->connection[0], &what, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), -EACCES);
	pair_check(pair);
}

/* Some NICs tell the receiver what they refused; soft-RoCE leaves that to probes. */
static void check_not_received(const struct tandem_operation *received)
{
	assert_true(received->pending || received->result == -EACCES ||
		    received->result == -ECONNRESET);
}

static uint64_t block_offset(uint32_t block)
{
	return tandem_kv_block_offset(&pair_layout[1], 0, block);
}

static void check_write_within_grant(void)
{
	struct tandem_operation received = { 0 };
	uint64_t generation;
	struct pair pair;

	open_with_grants(&pair);
	generation = grant(&pair, &received);
	push(&pair, 0, 1, generation);
	/* What the other tests do does land, where it is granted. */
	write_by_force(&pair, block_offset(FIRST + 1), 64);
	memcpy(pair.shadow[1] + block_offset(FIRST + 1), pair.shadow[0], 64);
	push(&pair, 2, 1, generation);
	pair_check(&pair);
	assert_true(received.pending);
	pair_close(&pair);
}

static void check_write_beside_grant(uint64_t offset, uint64_t length)
{
	struct tandem_operation received = { 0 };
	uint64_t generation;
	struct pair pair;

	open_with_grants(&pair);
	generation = grant(&pair, &received);
	push(&pair, 0, 1, generation);
	write_by_force(&pair, offset, length);
	check_refused(&pair, generation);
	check_not_received(&received);
	pair_close(&pair);
}

static void check_write_after_grant(void)
{
	struct tandem_operation received = { 0 };
	uint64_t generation;
	struct pair pair;

	open_with_grants(&pair);
	generation = grant(&pair, &received);
	push(&pair, 0, COUNT, generation);
	assert_int_equal(pair_wait(&pair, &received), 0);
	/* The operation has ended: not a byte may come any more. */
	write_by_force(&pair, block_offset(FIRST), 64);
	check_refused(&pair, generation);
	pair_close(&pair);
}

static void check_write_after_next_grant(void)
{
	struct tandem_operation received = { 0 };
	uint64_t generation;
	struct pair pair;

	open_with_grants(&pair);
	generation = grant(&pair, &received);
	push(&pair, 0, COUNT, generation);
	assert_int_equal(pair_wait(&pair, &received), 0);
	/* The same blocks are granted again, under another key. */
	generation = grant(&pair, &received);
	pair_run(&pair, 20);
	write_by_force(&pair, block_offset(FIRST), 64);
	check_refused(&pair, generation);
	check_not_received(&received);
	pair_close(&pair);
}

/* soft-RoCE takes the region's bounds for the window's, so it is not asked that. */
static void test_memory_windows(void **state)
{
	struct verbs *verbs;
	struct pair pair;

	(void)state;
	verbs_windows_use = VERBS_WINDOWS_ALWAYS;
	open_with_grants(&pair);
	verbs = pair.connection[1]->transport;
	assert_true(verbs->windows);
	pair_close(&pair);
	check_write_within_grant();
	check_write_after_grant();
	check_write_after_next_grant();
}

static void test_as_it_comes(void **state)
{
	(void)state;
	verbs_windows_use = VERBS_WINDOWS_IF_CHECKED;
	check_write_within_grant();
	check_write_beside_grant(block_offset(FIRST) - 1, 1);
	check_write_beside_grant(block_offset(FIRST + COUNT) - 32, 64);
	check_write_beside_grant(0, 64);
	check_write_after_grant();
	check_write_after_next_grant();
}

/* The pool itself has no key for the other side. */
static void test_no_key_of_the_pool(void **state)
{
	struct verbs *verbs;
	struct pair pair;

	(void)state;
	verbs_windows_use = VERBS_WINDOWS_ALWAYS;
	open_with_grants(&pair);
	verbs = pair.connection[0]->transport;
	assert_int_equal(verbs->remote.rails[0].rkey, 0);
	verbs->pairs[0]->batch[0].wr.rdma.rkey =
		((struct verbs *)pair.connection[1]->transport)->rails[0].region->rkey;
	write_by_force(&pair, 0, 64);
	check_refused(&pair, verbs->key_generation);
	pair_close(&pair);
}

/* More bindings than a window is used for. */
static void test_many_grants(void **state)
{
	struct tandem_operation received = { 0 };
	struct pair pair;
	int i;

	(void)state;
	verbs_windows_use = VERBS_WINDOWS_ALWAYS;
	open_with_grants(&pair);
	for (i = 0; i < 300; i++) {
		push(&pair, 0, COUNT, grant(&pair, &received));
		assert_int_equal(pair_wait(&pair, &received), 0);
	}
	pair_check(&pair);
	pair_close(&pair);
}

/* A side that ends says so: nobody has to find out by a probe. */
static void check_goodbye(bool closed)
{
	struct tandem_operation received = { 0 };
	struct verbs *verbs;
	struct pair pair;

	open_with_grants(&pair);
	push(&pair, 0, COUNT, grant(&pair, &received));
	assert_int_equal(pair_wait(&pair, &received), 0);
	grant(&pair, &received);
	if (closed) {
		tandem_connection_close(pair.connection[0]);
		pair.connection[0] = NULL;
	} else {
		connection_fail(pair.connection[0], -EIO);
	}
	assert_int_equal(pair_wait(&pair, &received), -ECONNRESET);
	verbs = pair.connection[1]->transport;
	assert_true(verbs->gone);
	assert_false(verbs->pairs[0]->probing);
	pair_close(&pair);
}

static void test_goodbye(void **state)
{
	(void)state;
	verbs_windows_use = VERBS_WINDOWS_IF_CHECKED;
	check_goodbye(true);
	check_goodbye(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goodbye),
		cmocka_unit_test(test_memory_windows),
		cmocka_unit_test(test_as_it_comes),
		cmocka_unit_test(test_no_key_of_the_pool),
		cmocka_unit_test(test_many_grants),
	};

	return cmocka_run_group_tests_name("verbs grants", tests, NULL, NULL);
}
