// SPDX-License-Identifier: MIT
/*
 * Tables of ranges that are sent again and again: what a push costs then is what
 * differs from one to the next.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "xfer.h"

static bool range_to_blocks(const struct tandem_kv_layout *layout, uint64_t offset,
			    uint64_t length, uint64_t *first)
{
	uint64_t block_bytes = tandem_kv_block_bytes(layout);
	uint64_t bytes = block_bytes * layout->blocks * layout->layers;

	*first = offset / block_bytes;
	return length && length <= bytes && offset <= bytes - length &&
	       offset % block_bytes == 0 && length % block_bytes == 0;
}

static int table_fill(struct tandem_xfer_table *table, const struct tandem_xfer_entry *entries,
		      struct tandem_error *error)
{
	uint64_t block_bytes = tandem_kv_block_bytes(&table->local);
	uint32_t i;

	for (i = 0; i < table->count; i++) {
		const struct tandem_xfer_entry *entry = &entries[i];
		struct xfer_run *run = &table->runs[i];

		if (!range_to_blocks(&table->local, entry->local, entry->length, &run->local) ||
		    !range_to_blocks(&table->remote, entry->remote, entry->length, &run->remote))
			return tandem_error_set(error, -EINVAL,
						"table: entry %" PRIu32 " (%" PRIu64 " bytes from %"
						PRIu64 " to %" PRIu64
						") is out of range, or not of whole blocks of %"
						PRIu64 " bytes",
						i, entry->length, entry->local, entry->remote,
						block_bytes);
		run->count = entry->length / block_bytes;
	}
	return 0;
}

/* From the last one on, as each needs to know how far the next one goes. */
static void table_coalesce(struct tandem_xfer_table *table)
{
	const struct xfer_run *run, *next;
	uint32_t i;

	for (i = table->count; i-- > 0; ) {
		run = &table->runs[i];
		next = run + 1;
		table->ends[i] = i + 1 < table->count && run->local + run->count == next->local &&
				 run->remote + run->count == next->remote ?
				 table->ends[i + 1] : i + 1;
	}
}

int tandem_xfer_table_create(struct tandem_connection *connection,
			     const struct tandem_xfer_entry *entries, uint32_t count,
			     struct tandem_xfer_table **table, struct tandem_error *error)
{
	struct tandem_xfer_table *new;
	int ret;

	if (connection->state != CONNECTION_CONNECTED)
		return tandem_error_set(error, -ENOTCONN,
					"table: the connection is not connected; connect it first");
	if (!count)
		return tandem_error_set(error, -EINVAL, "table: there are no entries");
	new = calloc(1, sizeof(*new) + count * sizeof(new->runs[0]));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "table: out of memory");
	new->ends = calloc(count, sizeof(*new->ends));
	if (!new->ends) {
		ret = tandem_error_set(error, -ENOMEM, "table: out of memory");
		goto destroy;
	}
	new->local = connection->layout;
	new->remote = connection->remote_layout;
	new->count = count;
	ret = table_fill(new, entries, error);
	if (ret < 0)
		goto destroy;
	table_coalesce(new);
	*table = new;
	return 0;

destroy:
	tandem_xfer_table_destroy(new);
	return ret;
}

void tandem_xfer_table_destroy(struct tandem_xfer_table *table)
{
	if (!table)
		return;
	free(table->ends);
	free(table);
}

int xfer_table_check(const struct tandem_kv_layout *local, const struct tandem_kv_layout *remote,
		     const struct tandem_push *push)
{
	const struct tandem_xfer_table *table = push->table;
	uint32_t i;

	if (push->layer_first || push->layer_count || push->local_blocks || push->remote_blocks ||
	    push->block_count || !push->entry_count ||
	    memcmp(&table->local, local, sizeof(*local)) ||
	    memcmp(&table->remote, remote, sizeof(*remote)))
		return -EINVAL;
	if (!push->entries)
		return push->entry_first < table->count &&
		       push->entry_count <= table->count - push->entry_first ? 0 : -EINVAL;
	for (i = 0; i < push->entry_count; i++)
		if (push->entries[i] >= table->count)
			return -EINVAL;
	return 0;
}

/* The entries from @first up to @end, which continue one another. */
static void table_join(const struct tandem_xfer_table *table, uint32_t first, uint32_t end,
		       struct xfer_run *run)
{
	*run = table->runs[first];
	run->count = table->runs[end - 1].local + table->runs[end - 1].count - run->local;
}

static size_t table_build_range(const struct tandem_push *push, struct xfer_run *runs)
{
	const struct tandem_xfer_table *table = push->table;
	uint32_t last = push->entry_first + push->entry_count;
	uint32_t first = push->entry_first, end;
	size_t count;

	for (count = 0; first < last; count++, first = end) {
		end = table->ends[first] < last ? table->ends[first] : last;
		if (runs)
			table_join(table, first, end, &runs[count]);
	}
	return count;
}

size_t xfer_table_build(const struct tandem_push *push, struct xfer_run *runs)
{
	struct xfer_run last = { 0 };
	size_t count = 0;
	uint32_t i;

	if (!push->entries)
		return table_build_range(push, runs);
	for (i = 0; i < push->entry_count; i++)
		count = xfer_runs_add(runs, count, &last, &push->table->runs[push->entries[i]]);
	return count;
}
