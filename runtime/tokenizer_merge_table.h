/* SPDX-License-Identifier: MIT */
/*
 * The merges of a byte-level vocabulary: which two tokens make which third, and
 * which pair goes first.
 */
#ifndef TANDEM_RUNTIME_TOKENIZER_MERGE_TABLE_H
#define TANDEM_RUNTIME_TOKENIZER_MERGE_TABLE_H

#include "tokenizer_vocabulary.h"

/**
 * struct tandem_merge - a merge
 * @left: token
 * @right: the token after it
 * @id: what both become; TANDEM_TOKEN_NONE in an empty entry
 * @rank: its place in the file; the lowest goes first
 */
struct tandem_merge {
	uint32_t left;
	uint32_t right;
	uint32_t id;
	uint32_t rank;
};

/**
 * tandem_merge_table_create() - make an empty table
 * @capacity: merges that it is to have room for
 * @seed: random number, so that no file can be made of collisions
 *
 * Return: the table, or NULL if there is no memory.
 */
struct tandem_merge_table *tandem_merge_table_create(uint32_t capacity, uint64_t seed);

/**
 * tandem_merge_table_destroy() - free a table
 * @table: may be NULL
 */
void tandem_merge_table_destroy(struct tandem_merge_table *table);

/**
 * tandem_merge_table_add() - add a merge
 * @table: the table
 * @merge: the merge; the first one of a pair stays
 */
void tandem_merge_table_add(struct tandem_merge_table *table, const struct tandem_merge *merge);

/**
 * tandem_merge_table_find() - what two tokens make
 * @table: the table
 * @left: token
 * @right: the token after it
 *
 * Return: the merge, or NULL if there is none.
 */
const struct tandem_merge *tandem_merge_table_find(const struct tandem_merge_table *table,
						   uint32_t left, uint32_t right);

#endif /* TANDEM_RUNTIME_TOKENIZER_MERGE_TABLE_H */
