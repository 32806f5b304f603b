/* SPDX-License-Identifier: MIT */
/*
 * Merging the characters or bytes of a text into tokens.
 */
#ifndef TANDEM_RUNTIME_TOKENIZER_MERGE_H
#define TANDEM_RUNTIME_TOKENIZER_MERGE_H

#include "tokenizer_vocabulary.h"

/* The end of the list of symbols. */
#define TANDEM_NO_SYMBOL	UINT32_MAX

/**
 * struct tandem_symbol - a stretch of the text that is one symbol so far
 * @offset: where it begins
 * @length: its bytes; 0 once it has been merged into the one before it
 * @previous: index of the symbol before it, or TANDEM_NO_SYMBOL
 * @next: likewise after it
 * @id: its token; TANDEM_TOKEN_NONE for what is none
 */
struct tandem_symbol {
	uint32_t offset;
	uint32_t length;
	uint32_t previous;
	uint32_t next;
	uint32_t id;
};

struct tandem_merge_candidate;

/**
 * struct tandem_merger - a text that is being merged, and room to do so
 * @tokenizer: the vocabulary
 * @text: the text
 * @symbols: its symbols; the first is never merged away
 * @symbol_count: how many there are
 * @symbol_capacity: room in @symbols
 * @candidates: a heap, the pair to merge next in front
 * @candidate_count: how many there are
 * @candidate_capacity: room in @candidates
 *
 * All zero but for @tokenizer to begin with. Used for one text after the other,
 * by one thread.
 */
struct tandem_merger {
	const struct tandem_tokenizer *tokenizer;
	const char *text;
	struct tandem_symbol *symbols;
	uint32_t symbol_count;
	uint32_t symbol_capacity;
	struct tandem_merge_candidate *candidates;
	size_t candidate_count;
	size_t candidate_capacity;
};

/**
 * tandem_merger_begin() - begin a text
 * @merger: the merger
 * @text: stays the caller's, and in place until the symbols have been used
 *
 * Symbols are to be added then, from the first on, without gaps.
 */
void tandem_merger_begin(struct tandem_merger *merger, const char *text);

/**
 * tandem_merger_add() - add a symbol to the text
 * @merger: the merger
 * @length: its bytes
 * @id: its token, or TANDEM_TOKEN_NONE
 *
 * Return: 0, or -ENOMEM.
 */
int tandem_merger_add(struct tandem_merger *merger, uint32_t length, uint32_t id);

/**
 * tandem_merger_run() - merge until nothing is left to merge
 * @merger: the merger
 *
 * What is left is the list that begins at the first symbol.
 *
 * Return: 0, or -ENOMEM.
 */
int tandem_merger_run(struct tandem_merger *merger);

/**
 * tandem_merger_end() - free what the merger has allocated
 * @merger: the merger
 */
void tandem_merger_end(struct tandem_merger *merger);

#endif /* TANDEM_RUNTIME_TOKENIZER_MERGE_H */
