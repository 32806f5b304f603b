// SPDX-License-Identifier: MIT
/*
 * Counting what arrives, transfer by transfer. The other side names the
 * transfers, so the number of those that nobody asked for has to be bounded.
 */
#include <errno.h>
#include <stdlib.h>

#include "xfer.h"

void xfer_expect_init(struct xfer_expect_table *table)
{
	unsigned int i;

	for (i = 0; i < XFER_EXPECT_BUCKETS; i++)
		LIST_INIT(&table->buckets[i]);
	table->early = 0;
	table->waiting = 0;
	table->ranges = 0;
}

struct xfer_expect *xfer_expect_find(struct xfer_expect_table *table, uint32_t transfer)
{
	struct xfer_expect *expect;

	LIST_FOREACH(expect, &table->buckets[transfer % XFER_EXPECT_BUCKETS], entry)
		if (expect->transfer == transfer)
			return expect;
	return NULL;
}

struct xfer_expect *xfer_expect_add(struct xfer_expect_table *table, uint32_t transfer)
{
	struct xfer_expect *expect = calloc(1, sizeof(*expect));

	if (!expect)
		return NULL;
	expect->transfer = transfer;
	LIST_INSERT_HEAD(&table->buckets[transfer % XFER_EXPECT_BUCKETS], expect, entry);
	table->early++;
	return expect;
}

void xfer_expect_await(struct xfer_expect_table *table, struct xfer_expect *expect,
		       struct tandem_operation *op)
{
	expect->op = op;
	table->early--;
	table->waiting++;
}

void xfer_expect_detach(struct xfer_expect_table *table, struct xfer_expect *expect)
{
	LIST_REMOVE(expect, entry);
	if (expect->op)
		table->waiting--;
	else
		table->early--;
}

void xfer_expect_free(struct xfer_expect_table *table, struct xfer_expect *expect)
{
	table->ranges -= expect->checksums.range_count;
	free(expect->checksums.ranges);
	free(expect->grant);
	free(expect);
}

void xfer_expect_remove(struct xfer_expect_table *table, struct xfer_expect *expect)
{
	xfer_expect_detach(table, expect);
	xfer_expect_free(table, expect);
}

struct xfer_expect *xfer_expect_first(struct xfer_expect_table *table, bool waiting)
{
	struct xfer_expect *expect;
	unsigned int i;

	for (i = 0; i < XFER_EXPECT_BUCKETS; i++)
		LIST_FOREACH(expect, &table->buckets[i], entry)
			if (waiting == !!expect->op)
				return expect;
	return NULL;
}

void xfer_expect_each(struct xfer_expect_table *table,
		      void (*call)(struct xfer_expect *expect, void *user), void *user)
{
	struct xfer_expect *expect;
	unsigned int i;

	for (i = 0; i < XFER_EXPECT_BUCKETS && table->waiting; i++)
		LIST_FOREACH(expect, &table->buckets[i], entry)
			if (expect->op)
				call(expect, user);
}
