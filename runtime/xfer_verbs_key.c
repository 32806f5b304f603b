// SPDX-License-Identifier: MIT
/*
 * Grants and offers, on the side that uses them: the keys that the other side has
 * sent. What a push or pull names that has not come yet is waited for; what has gone, or was never of this
 * connection, is refused before anything is posted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xfer_verbs.h"

/* A push may be ahead of the message with its keys, but by no more than this. */
#define GENERATIONS_AHEAD	(1u << 20)
/* Memory that the other side can make us take. */
#define KEY_BYTES_MAX		(64ull << 20)

/**
 * struct verbs_keys - one grant of the other side
 * @entry: in &verbs.keys
 * @offer: it is one: what it has may be read, again and again
 * @transfer: that it is for; 0 for an offer
 * @bytes: of this and @grant
 * @left: blocks that have not been written
 * @grant: which ones
 * @run_total: runs
 * @run_count: runs that have come
 * @keys: of each run, one for each pair
 * @runs: in rising order
 */
struct verbs_keys {
	TAILQ_ENTRY(verbs_keys) entry;
	bool offer;
	uint32_t transfer;
	uint64_t bytes;
	uint64_t left;
	struct xfer_grant *grant;
	uint32_t run_total;
	uint32_t run_count;
	uint32_t *keys;
	struct verbs_run runs[];
};

static struct verbs_keys *keys_find(struct verbs *verbs, uint64_t generation)
{
	struct verbs_keys *keys;

	TAILQ_FOREACH(keys, &verbs->keys, entry)
		if (keys->grant->generation == generation)
			break;
	/* What has been asked for will be again. */
	if (keys && keys != TAILQ_FIRST(&verbs->keys)) {
		TAILQ_REMOVE(&verbs->keys, keys, entry);
		TAILQ_INSERT_HEAD(&verbs->keys, keys, entry);
	}
	return keys;
}

static void keys_free(struct verbs *verbs, struct verbs_keys *keys)
{
	TAILQ_REMOVE(&verbs->keys, keys, entry);
	verbs->key_bytes -= keys->bytes;
	free(keys->keys);
	free(keys->grant);
	free(keys);
}

/* With room for @run_total runs. */
static struct verbs_keys *keys_create(const struct verbs *verbs, uint32_t run_total)
{
	struct verbs_keys *keys = calloc(1, sizeof(*keys) + run_total * sizeof(keys->runs[0]));

	if (!keys)
		return NULL;
	keys->run_total = run_total;
	keys->grant = xfer_grant_empty(&verbs->connection->remote_layout);
	keys->keys = calloc(run_total, verbs->pair_count * sizeof(keys->keys[0]));
	if (keys->grant && keys->keys)
		return keys;
	free(keys->keys);
	free(keys->grant);
	free(keys);
	return NULL;
}

/* The first message of a grant. */
static int keys_add(struct verbs *verbs, const struct verbs_message *message,
		    struct verbs_keys **keys)
{
	const struct tandem_kv_layout *layout = &verbs->connection->remote_layout;
	uint64_t total = (uint64_t)layout->layers * layout->blocks;
	struct verbs_keys *new;
	uint64_t bytes;

	/* Grants come in order, and never again. */
	if (message->generation - verbs->key_generation - 1 >= GENERATIONS_AHEAD ||
	    message->run_total > total)
		return -EPROTO;
	bytes = sizeof(*new) + xfer_grant_bytes(layout) +
		message->run_total * (sizeof(new->runs[0]) +
				      verbs->pair_count * sizeof(new->keys[0]));
	if (bytes > KEY_BYTES_MAX)
		return -EPROTO;
	/* What nobody asks for any more, as of transfers that were given up. */
	while (bytes > KEY_BYTES_MAX - verbs->key_bytes)
		keys_free(verbs, TAILQ_LAST(&verbs->keys, verbs_keys_list));
	new = keys_create(verbs, message->run_total);
	if (!new)
		return -ENOMEM;
	new->grant->generation = message->generation;
	new->offer = message->offer;
	new->transfer = message->transfer;
	new->bytes = bytes;
	verbs->key_bytes += bytes;
	verbs->key_generation = message->generation;
	TAILQ_INSERT_HEAD(&verbs->keys, new, entry);
	*keys = new;
	return 0;
}

/* @pair_keys: one for each pair. */
static int keys_add_run(struct verbs *verbs, struct verbs_keys *keys,
			const struct verbs_run *run, const uint32_t *pair_keys)
{
	const struct tandem_kv_layout *layout = &verbs->connection->remote_layout;
	uint64_t total = (uint64_t)layout->layers * layout->blocks;
	uint64_t after = 0;

	if (keys->run_count)
		after = keys->runs[keys->run_count - 1].first +
			keys->runs[keys->run_count - 1].count;
	if (!run->count || run->first < after || run->first >= total ||
	    run->count > total - run->first)
		return -EPROTO;
	xfer_grant_add(keys->grant, run->first, run->count);
	keys->left += run->count;
	memcpy(&keys->keys[keys->run_count * verbs->pair_count], pair_keys,
	       verbs->pair_count * sizeof(pair_keys[0]));
	keys->runs[keys->run_count++] = *run;
	return 0;
}

int verbs_keys_take(struct verbs *verbs, const uint8_t *buffer, size_t size)
{
	struct verbs_message message;
	struct verbs_keys *keys;
	uint32_t i;
	int ret;

	if (!verbs->connection->grants || verbs_message_decode(buffer, size, &message) < 0 ||
	    message.key_count != verbs->pair_count)
		return -EPROTO;
	keys = keys_find(verbs, message.generation);
	ret = keys ? 0 : keys_add(verbs, &message, &keys);
	if (ret < 0)
		return ret;
	if (message.offer != keys->offer || message.transfer != keys->transfer ||
	    message.run_total != keys->run_total || message.run_first != keys->run_count)
		return -EPROTO;
	for (i = 0; i < message.run_count && !ret; i++)
		ret = keys_add_run(verbs, keys, &message.runs[i], message.keys[i]);
	return ret;
}

int verbs_granted(struct tandem_connection *connection, const struct xfer_push *push)
{
	struct verbs *verbs = connection->transport;
	struct verbs_keys *keys = keys_find(verbs, push->generation);
	const uint64_t ahead = push->generation - verbs->key_generation - 1;

	if (!keys)
		return ahead < GENERATIONS_AHEAD ? -EAGAIN : -EACCES;
	if (keys->run_count < keys->run_total)
		return -EAGAIN;
	return keys->offer == push->pull && keys->transfer == push->transfer ? 0 : -EACCES;
}

void verbs_forget(struct tandem_connection *connection, uint64_t generation)
{
	struct verbs *verbs = connection->transport;
	struct verbs_keys *keys = keys_find(verbs, generation);

	if (keys && keys->offer)
		keys_free(verbs, keys);
}

static bool keys_allow(const struct verbs_keys *keys, const struct xfer_write *write)
{
	if (keys->offer != write->pull)
		return false;
	if (keys->offer)
		return xfer_grant_has(keys->grant, write->remote_offset, write->length);
	return xfer_grant_use(keys->grant, write->generation, write->remote_offset,
			      write->length, write->blocks) == 0;
}

/* Index of the run that a block is in; it is in one. */
static uint32_t keys_run(const struct verbs_keys *keys, uint64_t block)
{
	uint32_t low = 0, high = keys->run_count;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (keys->runs[middle].first <= block)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int verbs_keys_use(struct verbs *verbs, const struct xfer_write *write, uint32_t *keys)
{
	struct verbs_keys *found = keys_find(verbs, write->generation);
	uint64_t first, last;
	uint32_t run;

	if (!found || !keys_allow(found, write))
		return -EACCES;
	first = write->remote_offset / found->grant->block_bytes;
	last = (write->remote_offset + write->length - 1) / found->grant->block_bytes;
	run = keys_run(found, first);
	/* It would have to span two keys: this side's runs do not, if the other's are whole. */
	if (last - found->runs[run].first >= found->runs[run].count)
		return -EACCES;
	memcpy(keys, &found->keys[run * verbs->pair_count], verbs->pair_count * sizeof(keys[0]));
	if (found->offer)
		return 0;
	found->left -= write->blocks;
	if (!found->left)
		keys_free(verbs, found);
	return 0;
}

void verbs_keys_free(struct verbs *verbs)
{
	struct verbs_keys *keys;

	while ((keys = TAILQ_FIRST(&verbs->keys)))
		keys_free(verbs, keys);
}
