// SPDX-License-Identifier: MIT
/*
 * Merging the characters or bytes of a text into tokens.
 *
 * Again and again the best two neighbours become one, the leftmost of equals
 * first. In SentencePiece's vocabularies those are best whose concatenation is
 * the token of the highest score (bpe_model of
 * https://github.com/google/sentencepiece; unlike there, unused pieces do not
 * serve as steps of a merge); in byte-level ones, those whose merge comes first
 * in the file.
 */
#include <errno.h>
#include <stdlib.h>

#include "tokenizer_merge.h"
#include "tokenizer_merge_table.h"

/*
 * Two neighbours that can be merged into token @id. @length is that of both
 * together: symbols only grow, so it tells whether either has changed since.
 */
struct tandem_merge_candidate {
	double score;
	uint32_t left;
	uint32_t length;
	uint32_t id;
};

void tandem_merger_begin(struct tandem_merger *merger, const char *text)
{
	merger->text = text;
	merger->symbol_count = 0;
	merger->candidate_count = 0;
}

void tandem_merger_end(struct tandem_merger *merger)
{
	free(merger->symbols);
	free(merger->candidates);
}

int tandem_merger_add(struct tandem_merger *merger, uint32_t length, uint32_t id)
{
	const uint32_t index = merger->symbol_count;
	struct tandem_symbol *symbol;

	if (index == merger->symbol_capacity) {
		uint32_t capacity = index ? index * 2 : 256;
		struct tandem_symbol *symbols = realloc(merger->symbols,
							capacity * sizeof(*symbols));

		if (!symbols)
			return -ENOMEM;
		merger->symbols = symbols;
		merger->symbol_capacity = capacity;
	}
	symbol = &merger->symbols[index];
	symbol->offset = 0;
	symbol->previous = TANDEM_NO_SYMBOL;
	if (index) {
		symbol->offset = symbol[-1].offset + symbol[-1].length;
		symbol->previous = index - 1;
		symbol[-1].next = index;
	}
	symbol->length = length;
	symbol->next = TANDEM_NO_SYMBOL;
	symbol->id = id;
	merger->symbol_count++;
	return 0;
}

/* Whether @a is to be merged before @b: higher score first, then leftmost. */
static bool goes_before(const struct tandem_merge_candidate *a,
			const struct tandem_merge_candidate *b)
{
	if (a->score != b->score)
		return a->score > b->score;
	return a->left < b->left;
}

static int push(struct tandem_merger *merger, const struct tandem_merge_candidate *candidate)
{
	struct tandem_merge_candidate *heap = merger->candidates;
	size_t at = merger->candidate_count;

	if (at == merger->candidate_capacity) {
		size_t capacity = at ? at * 2 : 256;

		heap = realloc(heap, capacity * sizeof(*heap));
		if (!heap)
			return -ENOMEM;
		merger->candidates = heap;
		merger->candidate_capacity = capacity;
	}
	merger->candidate_count++;
	while (at && goes_before(candidate, &heap[(at - 1) / 2])) {
		heap[at] = heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap[at] = *candidate;
	return 0;
}

static struct tandem_merge_candidate pop(struct tandem_merger *merger)
{
	struct tandem_merge_candidate *heap = merger->candidates;
	struct tandem_merge_candidate first = heap[0];
	struct tandem_merge_candidate last = heap[--merger->candidate_count];
	size_t at = 0, child;

	for (;;) {
		child = 2 * at + 1;
		if (child >= merger->candidate_count)
			break;
		if (child + 1 < merger->candidate_count &&
		    goes_before(&heap[child + 1], &heap[child]))
			child++;
		if (!goes_before(&heap[child], &last))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = last;
	return first;
}

/* The token that two neighbours make, into @candidate. */
static bool find_token(const struct tandem_merger *merger, const struct tandem_symbol *left,
		       struct tandem_merge_candidate *candidate)
{
	const struct tandem_tokenizer *tokenizer = merger->tokenizer;
	const struct tandem_merge *merge;

	if (tokenizer->kind == TANDEM_TOKENIZER_BYTE_LEVEL) {
		merge = tandem_merge_table_find(tokenizer->merges, left->id,
						merger->symbols[left->next].id);
		if (!merge)
			return false;
		candidate->id = merge->id;
		candidate->score = -(double)merge->rank;
		return true;
	}
	if (candidate->length > tokenizer->piece_max)
		return false;
	candidate->id = tandem_tokenizer_find(tokenizer, merger->text + left->offset,
					      candidate->length);
	if (candidate->id == TANDEM_TOKEN_NONE)
		return false;
	candidate->score = tokenizer->tokens[candidate->id].score;
	return true;
}

/* Consider merging a symbol with its right neighbour. */
static int consider(struct tandem_merger *merger, uint32_t left)
{
	struct tandem_merge_candidate candidate = { .left = left };
	const struct tandem_symbol *symbol;

	if (left == TANDEM_NO_SYMBOL || merger->symbols[left].next == TANDEM_NO_SYMBOL)
		return 0;
	symbol = &merger->symbols[left];
	candidate.length = symbol->length + merger->symbols[symbol->next].length;
	if (!find_token(merger, symbol, &candidate))
		return 0;
	return push(merger, &candidate);
}

static bool is_stale(const struct tandem_merger *merger,
		     const struct tandem_merge_candidate *candidate)
{
	const struct tandem_symbol *left = &merger->symbols[candidate->left];

	return !left->length || left->next == TANDEM_NO_SYMBOL ||
	       left->length + merger->symbols[left->next].length != candidate->length;
}

static int merge(struct tandem_merger *merger, const struct tandem_merge_candidate *candidate)
{
	struct tandem_symbol *left = &merger->symbols[candidate->left];
	struct tandem_symbol *right = &merger->symbols[left->next];
	int ret;

	left->length = candidate->length;
	left->id = candidate->id;
	left->next = right->next;
	right->length = 0;
	if (left->next != TANDEM_NO_SYMBOL)
		merger->symbols[left->next].previous = candidate->left;

	ret = consider(merger, left->previous);
	return ret ? ret : consider(merger, candidate->left);
}

/*
 * Each merge removes a symbol and adds two candidates at most, and the length of
 * a token bounds the cost of a lookup: O(n log n) in the length of the text.
 */
int tandem_merger_run(struct tandem_merger *merger)
{
	uint32_t i;
	int ret;

	for (i = 0; i < merger->symbol_count; i++) {
		ret = consider(merger, i);
		if (ret)
			return ret;
	}
	while (merger->candidate_count) {
		struct tandem_merge_candidate candidate = pop(merger);

		if (is_stale(merger, &candidate))
			continue;
		ret = merge(merger, &candidate);
		if (ret)
			return ret;
	}
	return 0;
}
