// SPDX-License-Identifier: MIT
/*
 * Filling a tokenizer from a model file: tokens, special ids and options.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_load.h"
#include "tokenizer_pretokenizer.h"
#include "utf8.h"

/*
 * What the file has, before it is copied. Byte-level vocabularies need no scores
 * and can do without types: all tokens are normal then.
 */
struct source {
	const struct tandem_gguf *file;
	struct tandem_error *error;
	struct tandem_gguf_array texts;
	struct tandem_gguf_array scores;
	struct tandem_gguf_array types;
	bool has_scores;
	bool has_types;
};

static int find_arrays(struct source *source, bool byte_level)
{
	const char *name = tandem_gguf_name(source->file);
	int ret;

	ret = tandem_gguf_array(source->file, "tokenizer.ggml.tokens", &source->texts,
				source->error);
	if (ret)
		return ret;
	source->has_scores = !byte_level;
	source->has_types = !byte_level ||
			    tandem_gguf_has(source->file, "tokenizer.ggml.token_type");
	ret = source->has_scores ? tandem_gguf_array(source->file, "tokenizer.ggml.scores",
						     &source->scores, source->error) : 0;
	if (ret)
		return ret;
	ret = source->has_types ? tandem_gguf_array(source->file, "tokenizer.ggml.token_type",
						    &source->types, source->error) : 0;
	if (ret)
		return ret;
	if (source->texts.type != TANDEM_GGUF_STRING || !source->texts.count)
		return tandem_error_set(source->error, -EINVAL,
					"%s: key 'tokenizer.ggml.tokens' is not an array of strings "
					"with something in it", name);
	if (source->has_scores && source->scores.count != source->texts.count)
		return tandem_error_set(source->error, -EINVAL,
					"%s: has %llu tokens but %llu in 'tokenizer.ggml.scores'",
					name, (unsigned long long)source->texts.count,
					(unsigned long long)source->scores.count);
	if (source->has_types && source->types.count != source->texts.count)
		return tandem_error_set(source->error, -EINVAL,
					"%s: has %llu tokens but %llu in 'tokenizer.ggml.token_type'",
					name, (unsigned long long)source->texts.count,
					(unsigned long long)source->types.count);
	return 0;
}

static int allocate(struct tandem_tokenizer *tokenizer, const struct source *source)
{
	size_t entries = 16;

	/*
	 * The limit on headers keeps counts far from where this overflows. Texts
	 * together are shorter than the array that they are encoded in.
	 */
	tokenizer->size = source->texts.count;
	while (entries < 2 * (size_t)tokenizer->size)
		entries *= 2;
	tokenizer->table_mask = entries - 1;
	tokenizer->tokens = calloc(tokenizer->size, sizeof(*tokenizer->tokens));
	tokenizer->texts = malloc(source->texts.bytes);
	tokenizer->table = malloc(entries * sizeof(*tokenizer->table));
	if (!tokenizer->tokens || !tokenizer->texts || !tokenizer->table)
		return tandem_error_set(source->error, -ENOMEM,
					"%s: no memory for its tokenizer",
					tandem_gguf_name(source->file));
	/* All bits set is TANDEM_TOKEN_NONE. */
	memset(tokenizer->table, 0xff, entries * sizeof(*tokenizer->table));
	memset(tokenizer->byte_ids, 0xff, sizeof(tokenizer->byte_ids));
	return 0;
}

static void copy_texts(struct tandem_tokenizer *tokenizer, const struct source *source)
{
	char *end = tokenizer->texts;
	struct tandem_gguf_string text;
	size_t position = 0;
	uint32_t id;

	tokenizer->piece_max = UTF8_REPLACEMENT_BYTES;
	for (id = 0; id < tokenizer->size; id++) {
		if (!tandem_gguf_array_next_string(&source->texts, &position, &text))
			break; /* there are as many as counted: not reached */
		memcpy(end, text.data, text.length);
		tokenizer->tokens[id].text = end;
		tokenizer->tokens[id].length = text.length;
		end += text.length;
		if (text.length > tokenizer->piece_max)
			tokenizer->piece_max = text.length;
	}
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -1;
}

/* The byte of "<0xNN>", or -1. */
static int parse_byte(const struct tandem_token *token)
{
	int high, low;

	if (token->length != 6 || memcmp(token->text, "<0x", 3) || token->text[5] != '>')
		return -1;
	high = hex_digit(token->text[3]);
	low = hex_digit(token->text[4]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static int set_score(struct tandem_token *token, const struct source *source, uint32_t id)
{
	const char *name = tandem_gguf_name(source->file);

	if (!source->has_scores)
		return 0;
	if (tandem_gguf_array_f32(&source->scores, id, &token->score))
		return tandem_error_set(source->error, -EINVAL,
					"%s: key 'tokenizer.ggml.scores' is not an array of "
					"floating-point numbers", name);
	/* Scores are compared: they must have an order. */
	if (isnan(token->score))
		return tandem_error_set(source->error, -EINVAL,
					"%s: the score of token %u is not a number", name, id);
	return 0;
}

static int set_type(struct tandem_token *token, const struct source *source, uint32_t id)
{
	const char *name = tandem_gguf_name(source->file);
	int64_t type;
	int byte;

	token->type = TANDEM_TOKEN_TYPE_NORMAL;
	if (!source->has_types)
		return 0;
	if (tandem_gguf_array_i64(&source->types, id, &type))
		return tandem_error_set(source->error, -EINVAL,
					"%s: key 'tokenizer.ggml.token_type' is not an array of "
					"integers", name);
	if (type < TANDEM_TOKEN_TYPE_NORMAL || type > TANDEM_TOKEN_TYPE_BYTE)
		return tandem_error_set(source->error, -EINVAL,
					"%s: token %u has the unknown type %lld", name, id,
					(long long)type);
	token->type = (uint8_t)type;
	if (type != TANDEM_TOKEN_TYPE_BYTE)
		return 0;
	byte = parse_byte(token);
	if (byte < 0)
		return tandem_error_set(source->error, -EINVAL,
					"%s: token %u is of the type for bytes, but '%.*s' is not of "
					"the form <0xNN>", name, id,
					(int)(token->length < 32 ? token->length : 32),
					token->text);
	token->byte = (uint8_t)byte;
	return 0;
}

static int set_scores_and_types(struct tandem_tokenizer *tokenizer, const struct source *source)
{
	uint32_t id;
	int ret;

	for (id = 0; id < tokenizer->size; id++) {
		ret = set_score(&tokenizer->tokens[id], source, id);
		if (ret)
			return ret;
		ret = set_type(&tokenizer->tokens[id], source, id);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * An id that a key gives; where there is no such key, @usual if that token is
 * of type @type, else none.
 */
static int find_special(struct tandem_tokenizer *tokenizer, const struct source *source,
			const char *key, uint32_t usual, enum tandem_token_type type, uint32_t *id)
{
	uint32_t given;
	int ret;

	if (!tandem_gguf_has(source->file, key)) {
		*id = TANDEM_TOKEN_NONE;
		if (usual < tokenizer->size && tokenizer->tokens[usual].type == type)
			*id = usual;
		return 0;
	}
	ret = tandem_gguf_u32(source->file, key, &given, source->error);
	if (ret)
		return ret;
	if (given >= tokenizer->size)
		return tandem_error_set(source->error, -EINVAL,
					"%s: key '%s' is %u, but there are only %u tokens",
					tandem_gguf_name(source->file), key, given,
					tokenizer->size);
	/* Whatever type it has been given, no text is to turn into it. */
	if (tokenizer->tokens[given].type != TANDEM_TOKEN_TYPE_BYTE)
		tokenizer->tokens[given].type = (uint8_t)type;
	*id = given;
	return 0;
}

static int find_special_ids(struct tandem_tokenizer *tokenizer, const struct source *source)
{
	const bool byte_level = tokenizer->kind == TANDEM_TOKENIZER_BYTE_LEVEL;
	int ret;

	/* 0, 1 and 2 are what SentencePiece numbers them if not told otherwise. */
	ret = find_special(tokenizer, source, "tokenizer.ggml.unknown_token_id",
			   byte_level ? TANDEM_TOKEN_NONE : 0, TANDEM_TOKEN_TYPE_UNKNOWN,
			   &tokenizer->unknown);
	if (ret)
		return ret;
	ret = find_special(tokenizer, source, "tokenizer.ggml.bos_token_id",
			   byte_level ? TANDEM_TOKEN_NONE : 1, TANDEM_TOKEN_TYPE_CONTROL,
			   &tokenizer->bos);
	if (ret)
		return ret;
	ret = find_special(tokenizer, source, "tokenizer.ggml.eos_token_id",
			   byte_level ? TANDEM_TOKEN_NONE : 2, TANDEM_TOKEN_TYPE_CONTROL,
			   &tokenizer->eos);
	if (ret)
		return ret;
	return find_special(tokenizer, source, "tokenizer.ggml.eot_token_id", TANDEM_TOKEN_NONE,
			    TANDEM_TOKEN_TYPE_CONTROL, &tokenizer->eot);
}

/* Whether texts get a token at an end; @id is that token. */
static int get_added(const struct source *source, const char *key, const char *token, bool usual,
		     uint32_t id, bool *added)
{
	int ret;

	ret = tandem_gguf_bool_or(source->file, key, usual && id != TANDEM_TOKEN_NONE, added,
				  source->error);
	if (ret)
		return ret;
	if (*added && id == TANDEM_TOKEN_NONE)
		return tandem_error_set(source->error, -EINVAL,
					"%s: key '%s' is true, but there is no %s token; convert "
					"the model again", tandem_gguf_name(source->file), key,
					token);
	return 0;
}

static int set_options(struct tandem_tokenizer *tokenizer, const struct source *source)
{
	const bool byte_level = tokenizer->kind == TANDEM_TOKENIZER_BYTE_LEVEL;
	int ret;

	ret = find_special_ids(tokenizer, source);
	if (ret)
		return ret;
	/* Byte-level vocabularies have spaces within tokens, and add none. */
	if (!byte_level) {
		ret = tandem_gguf_bool_or(source->file, "tokenizer.ggml.add_space_prefix", true,
					  &tokenizer->add_space_prefix, source->error);
		if (ret)
			return ret;
	}
	ret = get_added(source, "tokenizer.ggml.add_bos_token", "BOS",
			!byte_level || tandem_pretokenizer_adds_bos(tokenizer->pretokenizer),
			tokenizer->bos, &tokenizer->add_bos);
	if (ret)
		return ret;
	return get_added(source, "tokenizer.ggml.add_eos_token", "EOS", false, tokenizer->eos,
			 &tokenizer->add_eos);
}

int tandem_tokenizer_load_tokens(struct tandem_tokenizer *tokenizer,
				 const struct tandem_gguf *file, struct tandem_error *error)
{
	struct source source = { .file = file, .error = error };
	int ret;

	ret = find_arrays(&source, tokenizer->kind == TANDEM_TOKENIZER_BYTE_LEVEL);
	if (ret)
		return ret;
	ret = allocate(tokenizer, &source);
	if (ret)
		return ret;
	copy_texts(tokenizer, &source);
	ret = set_scores_and_types(tokenizer, &source);
	if (ret)
		return ret;
	return set_options(tokenizer, &source);
}
