// SPDX-License-Identifier: MIT
/*
 * Making a tokenizer from a model file, and tokens to text.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tokenizer.h"
#include "tokenizer_vocabulary.h"

/* U+FFFD, shown for the unknown token. */
#define REPLACEMENT		"\xef\xbf\xbd"
#define REPLACEMENT_BYTES	3

/* The vocabulary's table. */

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(uint64_t seed, const char *text, size_t length)
{
	/* Digits of pi: of no structure that matters. */
	const uint64_t multiplier = 0x243f6a8885a308d3ULL;
	uint64_t state = seed ^ length, word;

	while (length >= sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		state = mix(state ^ word, multiplier ^ seed);
		text += sizeof(word);
		length -= sizeof(word);
	}
	word = 0;
	memcpy(&word, text, length);
	return mix(state ^ word, multiplier ^ seed);
}

/* The entry of @table that holds the text's token, or where it would be. */
static uint32_t *find_entry(const struct tandem_tokenizer *tokenizer, const char *text,
			    size_t length)
{
	size_t at = hash(tokenizer->seed, text, length) & tokenizer->table_mask;

	/* Half of the table is empty, at least. */
	while (tokenizer->table[at] != TANDEM_TOKEN_NONE) {
		const struct tandem_token *token = &tokenizer->tokens[tokenizer->table[at]];

		if (token->length == length && !memcmp(token->text, text, length))
			break;
		at = (at + 1) & tokenizer->table_mask;
	}
	return &tokenizer->table[at];
}

uint32_t tandem_tokenizer_find(const struct tandem_tokenizer *tokenizer, const char *text,
			       size_t length)
{
	return *find_entry(tokenizer, text, length);
}

/* Making a tokenizer. */

/* What the file has, before it is copied. */
struct source {
	const struct tandem_gguf *file;
	struct tandem_error *error;
	struct tandem_gguf_array texts;
	struct tandem_gguf_array scores;
	struct tandem_gguf_array types;
};

static int refuse_other_models(const struct source *source)
{
	struct tandem_gguf_string model;
	int ret;

	ret = tandem_gguf_string(source->file, "tokenizer.ggml.model", &model, source->error);
	if (ret || tandem_gguf_string_is(model, "llama"))
		return ret;
	return tandem_error_set(source->error, -EOPNOTSUPP,
				"%s: its tokenizer is of the kind '%.*s'; only 'llama' "
				"(SentencePiece) is built so far", tandem_gguf_name(source->file),
				(int)(model.length < 32 ? model.length : 32), model.data);
}

static int find_arrays(struct source *source)
{
	const char *name = tandem_gguf_name(source->file);
	int ret;

	ret = tandem_gguf_array(source->file, "tokenizer.ggml.tokens", &source->texts,
				source->error);
	if (ret)
		return ret;
	ret = tandem_gguf_array(source->file, "tokenizer.ggml.scores", &source->scores,
				source->error);
	if (ret)
		return ret;
	ret = tandem_gguf_array(source->file, "tokenizer.ggml.token_type", &source->types,
				source->error);
	if (ret)
		return ret;
	if (source->texts.type != TANDEM_GGUF_STRING || !source->texts.count)
		return tandem_error_set(source->error, -EINVAL,
					"%s: key 'tokenizer.ggml.tokens' is not an array of strings "
					"with something in it", name);
	if (source->scores.count != source->texts.count)
		return tandem_error_set(source->error, -EINVAL,
					"%s: has %llu tokens but %llu in 'tokenizer.ggml.scores'",
					name, (unsigned long long)source->texts.count,
					(unsigned long long)source->scores.count);
	if (source->types.count != source->texts.count)
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

	tokenizer->piece_max = REPLACEMENT_BYTES;
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

static int set_options(struct tandem_tokenizer *tokenizer, const struct source *source)
{
	int ret;

	/* 0, 1 and 2 are what SentencePiece numbers them if not told otherwise. */
	ret = find_special(tokenizer, source, "tokenizer.ggml.unknown_token_id", 0,
			   TANDEM_TOKEN_TYPE_UNKNOWN, &tokenizer->unknown);
	if (ret)
		return ret;
	ret = find_special(tokenizer, source, "tokenizer.ggml.bos_token_id", 1,
			   TANDEM_TOKEN_TYPE_CONTROL, &tokenizer->bos);
	if (ret)
		return ret;
	ret = find_special(tokenizer, source, "tokenizer.ggml.eos_token_id", 2,
			   TANDEM_TOKEN_TYPE_CONTROL, &tokenizer->eos);
	if (ret)
		return ret;
	ret = tandem_gguf_bool_or(source->file, "tokenizer.ggml.add_space_prefix", true,
				  &tokenizer->add_space_prefix, source->error);
	if (ret)
		return ret;
	ret = tandem_gguf_bool_or(source->file, "tokenizer.ggml.add_bos_token",
				  tokenizer->bos != TANDEM_TOKEN_NONE, &tokenizer->add_bos,
				  source->error);
	if (ret)
		return ret;
	if (tokenizer->add_bos && tokenizer->bos == TANDEM_TOKEN_NONE)
		return tandem_error_set(source->error, -EINVAL,
					"%s: key 'tokenizer.ggml.add_bos_token' is true, but there is "
					"no BOS token; convert the model again",
					tandem_gguf_name(source->file));
	return 0;
}

/* Of tokens with the same text, the lowest id is found. */
static int index_tokens(struct tandem_tokenizer *tokenizer, const struct source *source)
{
	uint32_t id, byte;

	for (id = 0; id < tokenizer->size; id++) {
		const struct tandem_token *token = &tokenizer->tokens[id];

		if (token->type == TANDEM_TOKEN_TYPE_BYTE &&
		    tokenizer->byte_ids[token->byte] == TANDEM_TOKEN_NONE)
			tokenizer->byte_ids[token->byte] = id;
		if (token->type == TANDEM_TOKEN_TYPE_NORMAL && token->length) {
			uint32_t *entry = find_entry(tokenizer, token->text, token->length);

			if (*entry == TANDEM_TOKEN_NONE)
				*entry = id;
		}
	}
	for (byte = 0; byte < 256; byte++) {
		if (tokenizer->byte_ids[byte] == TANDEM_TOKEN_NONE &&
		    tokenizer->unknown == TANDEM_TOKEN_NONE)
			return tandem_error_set(source->error, -EINVAL,
						"%s: its tokenizer has neither a token <0x%02X> nor "
						"an unknown token; convert the model again",
						tandem_gguf_name(source->file), byte);
	}
	return 0;
}

static int fill(struct tandem_tokenizer *tokenizer, const struct source *source)
{
	int ret;

	ret = allocate(tokenizer, source);
	if (ret)
		return ret;
	copy_texts(tokenizer, source);
	ret = set_scores_and_types(tokenizer, source);
	if (ret)
		return ret;
	ret = set_options(tokenizer, source);
	if (ret)
		return ret;
	if (getrandom(&tokenizer->seed, sizeof(tokenizer->seed), 0) !=
	    sizeof(tokenizer->seed))
		return tandem_error_set(source->error, -EIO,
					"%s: no random numbers for the tokenizer's table",
					tandem_gguf_name(source->file));
	return index_tokens(tokenizer, source);
}

int tandem_tokenizer_create(const struct tandem_gguf *file, struct tandem_tokenizer **result,
			    struct tandem_error *error)
{
	struct source source = { .file = file, .error = error };
	struct tandem_tokenizer *tokenizer;
	int ret;

	ret = refuse_other_models(&source);
	if (ret)
		return ret;
	ret = find_arrays(&source);
	if (ret)
		return ret;
	tokenizer = calloc(1, sizeof(*tokenizer));
	if (!tokenizer)
		return tandem_error_set(error, -ENOMEM, "%s: no memory for its tokenizer",
					tandem_gguf_name(file));
	ret = fill(tokenizer, &source);
	if (ret) {
		tandem_tokenizer_destroy(tokenizer);
		return ret;
	}
	*result = tokenizer;
	return 0;
}

int tandem_tokenizer_load(const char *path, struct tandem_tokenizer **tokenizer,
			  struct tandem_error *error)
{
	struct tandem_gguf *file;
	int ret;

	ret = tandem_gguf_open(path, &file, error);
	if (ret)
		return ret;
	ret = tandem_tokenizer_create(file, tokenizer, error);
	tandem_gguf_close(file);
	return ret;
}

void tandem_tokenizer_destroy(struct tandem_tokenizer *tokenizer)
{
	if (!tokenizer)
		return;
	free(tokenizer->table);
	free(tokenizer->texts);
	free(tokenizer->tokens);
	free(tokenizer);
}

uint32_t tandem_tokenizer_size(const struct tandem_tokenizer *tokenizer)
{
	return tokenizer->size;
}

uint32_t tandem_tokenizer_bos(const struct tandem_tokenizer *tokenizer)
{
	return tokenizer->bos;
}

uint32_t tandem_tokenizer_eos(const struct tandem_tokenizer *tokenizer)
{
	return tokenizer->eos;
}

bool tandem_tokenizer_add_bos(const struct tandem_tokenizer *tokenizer)
{
	return tokenizer->add_bos;
}

size_t tandem_tokenizer_piece_max(const struct tandem_tokenizer *tokenizer)
{
	return tokenizer->piece_max;
}

/* Decoding. */

/* Writes no more than @token->length bytes, from the @skip'th byte on. */
static size_t unmark_spaces(const struct tandem_token *token, size_t skip, char *text)
{
	size_t at = skip, bytes = 0;

	while (at < token->length) {
		if (token->length - at >= SPACE_MARK_BYTES &&
		    !memcmp(token->text + at, SPACE_MARK, SPACE_MARK_BYTES)) {
			if (text)
				text[bytes] = ' ';
			at += SPACE_MARK_BYTES;
		} else {
			if (text)
				text[bytes] = token->text[at];
			at++;
		}
		bytes++;
	}
	return bytes;
}

static ssize_t decode_text(const struct tandem_tokenizer *tokenizer,
			   const struct tandem_token *token, uint32_t previous, char *text,
			   size_t size)
{
	bool first = previous == TANDEM_TOKEN_NONE || previous == tokenizer->bos;
	size_t skip = 0, bytes;

	if (first && tokenizer->add_space_prefix && token->length >= SPACE_MARK_BYTES &&
	    !memcmp(token->text, SPACE_MARK, SPACE_MARK_BYTES))
		skip = SPACE_MARK_BYTES;
	bytes = unmark_spaces(token, skip, NULL);
	if (bytes > size)
		return -ENOSPC;
	return (ssize_t)unmark_spaces(token, skip, text);
}

ssize_t tandem_tokenizer_decode(const struct tandem_tokenizer *tokenizer, uint32_t id,
				uint32_t previous, char *text, size_t size)
{
	const struct tandem_token *token;

	if (id >= tokenizer->size)
		return -EINVAL;
	token = &tokenizer->tokens[id];
	switch (token->type) {
	case TANDEM_TOKEN_TYPE_CONTROL:
		return 0;
	case TANDEM_TOKEN_TYPE_UNKNOWN:
		if (size < REPLACEMENT_BYTES)
			return -ENOSPC;
		memcpy(text, REPLACEMENT, REPLACEMENT_BYTES);
		return REPLACEMENT_BYTES;
	case TANDEM_TOKEN_TYPE_BYTE:
		if (size < 1)
			return -ENOSPC;
		text[0] = (char)token->byte;
		return 1;
	default:
		return decode_text(tokenizer, token, previous, text, size);
	}
}
