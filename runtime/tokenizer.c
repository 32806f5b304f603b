// SPDX-License-Identifier: MIT
/*
 * Making tokenizers, and what there is to know of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "tokenizer.h"
#include "tokenizer_load.h"
#include "tokenizer_merge_table.h"
#include "tokenizer_pretokenizer.h"
#include "tokenizer_spellings.h"

/* Texts of files are shown in messages up to so many bytes. */
#define SHOWN_BYTES	32

static int shown(struct tandem_gguf_string string)
{
	return (int)(string.length < SHOWN_BYTES ? string.length : SHOWN_BYTES);
}

static int find_kind(struct tandem_tokenizer *tokenizer, const struct tandem_gguf *file,
		     struct tandem_error *error)
{
	struct tandem_gguf_string model;
	int ret;

	ret = tandem_gguf_string(file, "tokenizer.ggml.model", &model, error);
	if (ret)
		return ret;
	if (tandem_gguf_string_is(model, "llama"))
		tokenizer->kind = TANDEM_TOKENIZER_SENTENCEPIECE;
	else if (tandem_gguf_string_is(model, "gpt2"))
		tokenizer->kind = TANDEM_TOKENIZER_BYTE_LEVEL;
	else
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: its tokenizer is of the kind '%.*s'; only 'llama' "
					"(SentencePiece) and 'gpt2' (byte-level BPE) are built",
					tandem_gguf_name(file), shown(model), model.data);
	return 0;
}

/* Files older than the key mean "default". */
static int make_pretokenizer(struct tandem_tokenizer *tokenizer, const struct tandem_gguf *file,
			     struct tandem_error *error)
{
	struct tandem_gguf_string name = { "default", 7 };
	int ret;

	if (tandem_gguf_has(file, "tokenizer.ggml.pre")) {
		ret = tandem_gguf_string(file, "tokenizer.ggml.pre", &name, error);
		if (ret)
			return ret;
	}
	ret = tandem_pretokenizer_create(name.data, name.length, &tokenizer->pretokenizer);
	if (ret == -EOPNOTSUPP)
		return tandem_error_set(error, ret,
					"%s: its pre-tokenizer '%.*s' is not built; take a model "
					"with another, such as 'llama-bpe' or 'qwen2'",
					tandem_gguf_name(file), shown(name), name.data);
	if (ret)
		return tandem_error_set(error, ret, "%s: no memory for its tokenizer",
					tandem_gguf_name(file));
	return 0;
}

static int index_sentencepiece(struct tandem_tokenizer *tokenizer, const struct tandem_gguf *file,
			       struct tandem_error *error)
{
	uint32_t id, byte;

	for (id = 0; id < tokenizer->size; id++) {
		struct tandem_token *token = &tokenizer->tokens[id];

		if (token->type == TANDEM_TOKEN_TYPE_BYTE &&
		    tokenizer->byte_ids[token->byte] == TANDEM_TOKEN_NONE)
			tokenizer->byte_ids[token->byte] = id;
		token->spelled = token->type == TANDEM_TOKEN_TYPE_NORMAL && token->length;
		if (token->spelled)
			tandem_tokenizer_index(tokenizer, id);
	}
	for (byte = 0; byte < 256; byte++) {
		if (tokenizer->byte_ids[byte] == TANDEM_TOKEN_NONE &&
		    tokenizer->unknown == TANDEM_TOKEN_NONE)
			return tandem_error_set(error, -EINVAL,
						"%s: its tokenizer has neither a token <0x%02X> nor "
						"an unknown token; convert the model again",
						tandem_gguf_name(file), byte);
	}
	return 0;
}

static int fill(struct tandem_tokenizer *tokenizer, const struct tandem_gguf *file,
		struct tandem_error *error)
{
	const bool byte_level = tokenizer->kind == TANDEM_TOKENIZER_BYTE_LEVEL;
	int ret;

	ret = byte_level ? make_pretokenizer(tokenizer, file, error) : 0;
	if (ret)
		return ret;
	ret = tandem_tokenizer_load_tokens(tokenizer, file, error);
	if (ret)
		return ret;
	if (getrandom(&tokenizer->seed, sizeof(tokenizer->seed), 0) !=
	    sizeof(tokenizer->seed))
		return tandem_error_set(error, -EIO,
					"%s: no random numbers for the tokenizer's table",
					tandem_gguf_name(file));
	ret = byte_level ? tandem_tokenizer_load_byte_level(tokenizer, file, error) :
			   index_sentencepiece(tokenizer, file, error);
	if (ret)
		return ret;
	if (tandem_spellings_create(tokenizer))
		return tandem_error_set(error, -ENOMEM, "%s: no memory for its tokenizer",
					tandem_gguf_name(file));
	return 0;
}

int tandem_tokenizer_create(const struct tandem_gguf *file, struct tandem_tokenizer **result,
			    struct tandem_error *error)
{
	struct tandem_tokenizer *tokenizer;
	int ret;

	tokenizer = calloc(1, sizeof(*tokenizer));
	if (!tokenizer)
		return tandem_error_set(error, -ENOMEM, "%s: no memory for its tokenizer",
					tandem_gguf_name(file));
	ret = find_kind(tokenizer, file, error);
	if (!ret)
		ret = fill(tokenizer, file, error);
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
	tandem_pretokenizer_destroy(tokenizer->pretokenizer);
	tandem_merge_table_destroy(tokenizer->merges);
	tandem_spellings_destroy(tokenizer->spellings);
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

bool tandem_tokenizer_is_end(const struct tandem_tokenizer *tokenizer, uint32_t id)
{
	return id != TANDEM_TOKEN_NONE && (id == tokenizer->eos || id == tokenizer->eot);
}

bool tandem_tokenizer_add_bos(const struct tandem_tokenizer *tokenizer)
{
	return tokenizer->add_bos;
}

bool tandem_tokenizer_add_eos(const struct tandem_tokenizer *tokenizer)
{
	return tokenizer->add_eos;
}

size_t tandem_tokenizer_piece_max(const struct tandem_tokenizer *tokenizer)
{
	return tokenizer->piece_max;
}
