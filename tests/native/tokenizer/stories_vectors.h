/* SPDX-License-Identifier: MIT */
/*
 * Tokens of ../shared/data/models/stories260K.gguf, as SentencePiece makes them.
 */
#ifndef TANDEM_TESTS_STORIES_VECTORS_H
#define TANDEM_TESTS_STORIES_VECTORS_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct stories_vector - a text and its tokens
 * @text: the text
 * @length: bytes of @text
 * @count: tokens
 * @ids: the tokens, without BOS
 */
struct stories_vector {
	const char *text;
	size_t length;
	size_t count;
	uint32_t ids[48];
};

extern const struct stories_vector stories_vectors[];
extern const size_t stories_vector_count;

#endif /* TANDEM_TESTS_STORIES_VECTORS_H */
