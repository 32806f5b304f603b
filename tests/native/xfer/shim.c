// SPDX-License-Identifier: MIT
/*
 * A transport that the test plays itself.
 */
#include <stdlib.h>
#include <string.h>

#include "shim.h"

struct shim shim;

static int shim_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	assert_true(shim.count < SHIM_SLOTS);
	assert_true(write->length > 0 && write->length <= connection->write_bytes);
	assert_true(write->blocks <= XFER_WRITE_BLOCKS_MAX);
	if (shim.fail_with && !shim.fail_after--)
		return shim.fail_with;
	shim.writes[shim.count++] = *write;
	if (shim.count > shim.most)
		shim.most = shim.count;
	return 0;
}

static int shim_flush(struct tandem_connection *connection)
{
	(void)connection;
	shim.flushes++;
	return 0;
}

/* Nobody hears of it. */
static int shim_tell(struct tandem_connection *connection, const struct xfer_note *note)
{
	(void)connection;
	(void)note;
	return 0;
}

static void shim_abort(struct tandem_connection *connection)
{
	(void)connection;
	shim.aborted = true;
}

static void shim_close(struct tandem_connection *connection)
{
	shim.below->close(connection);
}

static const struct xfer_transport_ops shim_ops = {
	.write = shim_write,
	.flush = shim_flush,
	.tell = shim_tell,
	.abort = shim_abort,
	.close = shim_close,
};

int shim_setup(void **state)
{
	struct pair *pair;

	pair_setup(state);
	pair = *state;
	memset(&shim, 0, sizeof(shim));
	shim.below = pair->connection[0]->ops;
	pair->connection[0]->ops = &shim_ops;
	pair->connection[0]->write_slots = SHIM_SLOTS;
	pair->connection[0]->write_bytes = 4 * tandem_kv_block_bytes(pair_layout);
	return 0;
}

void shim_deliver(struct pair *pair, unsigned int index, bool tell)
{
	struct xfer_write write = shim.writes[index];

	memcpy(pair->bytes[1] + write.remote_offset, pair->bytes[0] + write.local_offset,
	       write.length);
	if (tell && write.blocks)
		connection_received(pair->connection[1], write.transfer, write.blocks);
}

void shim_acknowledge(struct pair *pair, unsigned int index, int result)
{
	struct xfer_write write = shim.writes[index];

	shim.writes[index] = shim.writes[--shim.count];
	connection_write_done(pair->connection[0], write.push, write.length, result);
}

struct tandem_push shim_push(struct pair *pair, uint32_t *local, uint32_t *remote)
{
	struct tandem_push push = {
		.transfer = 7,
		.layer_count = 3,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = SHIM_BLOCKS,
	};

	pair_choose(pair, local, SHIM_BLOCKS, pair_layout[0].blocks);
	pair_choose(pair, remote, SHIM_BLOCKS, pair_layout[1].blocks);
	return push;
}

void shim_start(struct pair *pair, struct tandem_operation *sent)
{
	uint32_t local[SHIM_BLOCKS], remote[SHIM_BLOCKS];
	struct tandem_push push = shim_push(pair, local, remote);

	assert_int_equal(tandem_push_start(pair->connection[0], &push, sent), 0);
	assert_int_equal(shim.count, SHIM_SLOTS);
}

void shim_carry_out(struct pair *pair)
{
	while (shim.count) {
		unsigned int index = pair_random(pair, shim.count);

		shim_deliver(pair, index, true);
		shim_acknowledge(pair, index, 0);
		if (pair_random(pair, 3) == 0)
			connection_continue(pair->connection[0]);
		if (!shim.count)
			connection_continue(pair->connection[0]);
		if (pair_random(pair, 4) == 0)
			tandem_loop_run(pair->loop, 0);
	}
}
