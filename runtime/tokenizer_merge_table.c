// SPDX-License-Identifier: MIT
/*
 * The merges of a byte-level vocabulary.
 */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_merge_table.h"

/*
 * @mask: entries minus 1; a power of two minus 1
 * @entries: open addressing, half of them empty at least
 */
struct tandem_merge_table {
	uint64_t seed;
	size_t mask;
	struct tandem_merge entries[];
};

struct tandem_merge_table *tandem_merge_table_create(uint32_t capacity, uint64_t seed)
{
	struct tandem_merge_table *table;
	size_t entries = 16;

	while (entries < 2 * (size_t)capacity)
		entries *= 2;
	table = malloc(sizeof(*table) + entries * sizeof(table->entries[0]));
	if (!table)
		return NULL;
	table->seed = seed;
	table->mask = entries - 1;
	/* All bits set is TANDEM_TOKEN_NONE. */
	memset(table->entries, 0xff, entries * sizeof(table->entries[0]));
	return table;
}

void tandem_merge_table_destroy(struct tandem_merge_table *table)
{
	free(table);
}

/* Index of the pair's merge, or of where it would be. */
static size_t find_index(const struct tandem_merge_table *table, uint32_t left, uint32_t right)
{
	const uint32_t pair[2] = { left, right };
	size_t at = tandem_tokenizer_hash(table->seed, (const char *)pair, sizeof(pair)) &
		    table->mask;

	while (table->entries[at].id != TANDEM_TOKEN_NONE &&
	       (table->entries[at].left != left || table->entries[at].right != right))
		at = (at + 1) & table->mask;
	return at;
}

void tandem_merge_table_add(struct tandem_merge_table *table, const struct tandem_merge *merge)
{
	const size_t at = find_index(table, merge->left, merge->right);

	if (table->entries[at].id == TANDEM_TOKEN_NONE)
		table->entries[at] = *merge;
}

const struct tandem_merge *tandem_merge_table_find(const struct tandem_merge_table *table,
						   uint32_t left, uint32_t right)
{
	const struct tandem_merge *merge = &table->entries[find_index(table, left, right)];

	return merge->id == TANDEM_TOKEN_NONE ? NULL : merge;
}
