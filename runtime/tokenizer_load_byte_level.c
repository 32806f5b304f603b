// SPDX-License-Identifier: MIT
/*
 * Filling a tokenizer from a model file: what only byte-level vocabularies have.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_byte_level.h"
#include "tokenizer_load.h"
#include "tokenizer_merge_table.h"

/* Texts of files are shown in messages up to so many bytes. */
#define SHOWN_BYTES	64

/*
 * A normal token whose text stands for no bytes keeps it, to be shown if the
 * model comes up with it. The bytes are no more than the text that they replace.
 */
static void decode_texts(struct tandem_tokenizer *tokenizer)
{
	char *at = tokenizer->texts;
	uint32_t id;

	for (id = 0; id < tokenizer->size; id++) {
		struct tandem_token *token = &tokenizer->tokens[id];
		size_t count;

		if (token->type == TANDEM_TOKEN_TYPE_NORMAL && token->length &&
		    tandem_byte_level_decode(token->text, token->length, at, &count)) {
			token->length = (uint32_t)count;
			token->spelled = true;
		} else {
			memmove(at, token->text, token->length);
		}
		token->text = at;
		at += token->length;
	}
}

static int index_tokens(struct tandem_tokenizer *tokenizer, const struct tandem_gguf *file,
			struct tandem_error *error)
{
	uint32_t id, byte;

	for (id = 0; id < tokenizer->size; id++) {
		if (tokenizer->tokens[id].spelled)
			tandem_tokenizer_index(tokenizer, id);
	}
	for (byte = 0; byte < 256; byte++) {
		const char text = (char)byte;

		tokenizer->byte_ids[byte] = tandem_tokenizer_find(tokenizer, &text, 1);
		if (tokenizer->byte_ids[byte] == TANDEM_TOKEN_NONE &&
		    tokenizer->unknown == TANDEM_TOKEN_NONE)
			return tandem_error_set(error, -EINVAL,
						"%s: its tokenizer has neither a token for the byte "
						"0x%02X nor an unknown token; convert the model again",
						tandem_gguf_name(file), byte);
	}
	return 0;
}

/*
 * Of a merge's text, "left right", the bytes that both stand for.
 *
 * @bytes: those of both
 * @left: how many are of the left one
 * @count: how many there are
 */
struct merge_text {
	char *bytes;
	size_t left;
	size_t count;
};

static bool decode_merge(struct tandem_gguf_string text, struct merge_text *merge)
{
	const char *space = memchr(text.data, ' ', text.length);
	size_t left;

	if (!space)
		return false;
	left = space - text.data;
	if (!tandem_byte_level_decode(text.data, left, merge->bytes, &merge->left) ||
	    !tandem_byte_level_decode(space + 1, text.length - left - 1,
				      merge->bytes + merge->left, &merge->count))
		return false;
	merge->count += merge->left;
	return merge->left && merge->count > merge->left;
}

/*
 * A merge of or to what is no normal token is passed over: a token that the
 * model's user has defined, say, is not to come of text that is merged.
 */
static void add_merge(struct tandem_tokenizer *tokenizer, const struct merge_text *text,
		      uint32_t rank)
{
	const struct tandem_merge merge = {
		.left = tandem_tokenizer_find(tokenizer, text->bytes, text->left),
		.right = tandem_tokenizer_find(tokenizer, text->bytes + text->left,
					       text->count - text->left),
		.id = tandem_tokenizer_find(tokenizer, text->bytes, text->count),
		.rank = rank,
	};

	if (merge.left != TANDEM_TOKEN_NONE && merge.right != TANDEM_TOKEN_NONE &&
	    merge.id != TANDEM_TOKEN_NONE)
		tandem_merge_table_add(tokenizer->merges, &merge);
}

static int add_merges(struct tandem_tokenizer *tokenizer, const struct tandem_gguf_array *array,
		      const struct tandem_gguf *file, struct tandem_error *error)
{
	struct tandem_gguf_string string;
	struct merge_text text;
	size_t position = 0;
	uint32_t rank = 0;
	int ret = 0;

	/* No text is longer than the array that it is in. */
	text.bytes = malloc(array->bytes);
	if (!text.bytes)
		return tandem_error_set(error, -ENOMEM, "%s: no memory for its tokenizer",
					tandem_gguf_name(file));
	while (tandem_gguf_array_next_string(array, &position, &string)) {
		if (!decode_merge(string, &text)) {
			ret = tandem_error_set(error, -EINVAL,
					       "%s: merge %u of its tokenizer, '%.*s', is not two "
					       "texts of tokens with a space between them; convert "
					       "the model again", tandem_gguf_name(file), rank,
					       (int)(string.length < SHOWN_BYTES ? string.length :
						     SHOWN_BYTES), string.data);
			break;
		}
		add_merge(tokenizer, &text, rank++);
	}
	free(text.bytes);
	return ret;
}

static int load_merges(struct tandem_tokenizer *tokenizer, const struct tandem_gguf *file,
		       struct tandem_error *error)
{
	struct tandem_gguf_array array;
	int ret;

	ret = tandem_gguf_array(file, "tokenizer.ggml.merges", &array, error);
	if (ret)
		return ret;
	if (array.count && array.type != TANDEM_GGUF_STRING)
		return tandem_error_set(error, -EINVAL,
					"%s: key 'tokenizer.ggml.merges' is not an array of strings",
					tandem_gguf_name(file));
	/* The limit on headers keeps the count far from where this overflows. */
	tokenizer->merges = tandem_merge_table_create((uint32_t)array.count, tokenizer->seed);
	if (!tokenizer->merges)
		return tandem_error_set(error, -ENOMEM, "%s: no memory for its tokenizer",
					tandem_gguf_name(file));
	return array.count ? add_merges(tokenizer, &array, file, error) : 0;
}

int tandem_tokenizer_load_byte_level(struct tandem_tokenizer *tokenizer,
				     const struct tandem_gguf *file, struct tandem_error *error)
{
	int ret;

	decode_texts(tokenizer);
	ret = index_tokens(tokenizer, file, error);
	if (ret)
		return ret;
	return load_merges(tokenizer, file, error);
}
