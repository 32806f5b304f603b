// SPDX-License-Identifier: MIT
/*
 * Small vocabularies for tests, and tokenizers made of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/native/support/gguf_writer.h"
#include "vocabulary.h"

#define MARK	"\xe2\x96\x81"

void vocabulary_init(struct vocabulary *vocabulary)
{
	static char byte_texts[256][8];
	/* In order of merging. Some words cannot be reached by merges. */
	static const char *const words[] = {
		MARK "a", "ab", "bc", "abc", MARK "ab", "aa", "aaaa", MARK MARK, "cab",
		MARK "cab", "ca", "cc", "bca", "\xc3\xa9" "a", MARK "\xf0\x9f\x8e\x89", "b" MARK,
		"a", "b", "c", MARK, "\xc3\xa9", "\xf0\x9f\x8e\x89",
	};
	size_t i;

	memset(vocabulary, 0, sizeof(*vocabulary));
	vocabulary->model = "llama";
	vocabulary->bos = -1;
	vocabulary->eos = -1;
	vocabulary->unknown = -1;
	vocabulary->add_bos = -1;
	vocabulary->add_space_prefix = -1;
	vocabulary_add(vocabulary, "<unk>", 0, 2);
	vocabulary_add(vocabulary, "<s>", 0, 3);
	vocabulary_add(vocabulary, "</s>", 0, 3);
	for (i = 0; i < 256; i++) {
		snprintf(byte_texts[i], sizeof(byte_texts[i]), "<0x%02X>", (unsigned int)i);
		vocabulary_add(vocabulary, byte_texts[i], 0, 6);
	}
	/* Each score twice, so that ties are decided by position. */
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		vocabulary_add(vocabulary, words[i], -(float)(i / 2), 1);
}

uint32_t vocabulary_add(struct vocabulary *vocabulary, const char *text, float score,
			int32_t type)
{
	const struct vocabulary_token token = { .text = text, .score = score, .type = type };

	assert_in_range(vocabulary->count, 0, VOCABULARY_MAX - 1);
	vocabulary->tokens[vocabulary->count++] = token;
	vocabulary->score_count++;
	vocabulary->type_count++;
	return (uint32_t)vocabulary->count - 1;
}

uint32_t vocabulary_id(const struct vocabulary *vocabulary, const char *text)
{
	uint32_t id;

	for (id = 0; id < vocabulary->count; id++) {
		if (!strcmp(vocabulary->tokens[id].text, text))
			return id;
	}
	fail_msg("the vocabulary has no token '%s'", text);
	return 0;
}

static void put_keys(const struct vocabulary *vocabulary, struct gguf_writer *writer)
{
	size_t i;

	if (vocabulary->model)
		gguf_writer_key_string(writer, "tokenizer.ggml.model", vocabulary->model);
	gguf_writer_key_array(writer, "tokenizer.ggml.tokens", TANDEM_GGUF_STRING,
			      vocabulary->count);
	for (i = 0; i < vocabulary->count; i++)
		gguf_writer_string(writer, vocabulary->tokens[i].text);
	gguf_writer_key_array(writer, "tokenizer.ggml.scores", TANDEM_GGUF_FLOAT32,
			      vocabulary->score_count);
	for (i = 0; i < vocabulary->score_count; i++)
		gguf_writer_f32(writer, vocabulary->tokens[i].score);
	gguf_writer_key_array(writer, "tokenizer.ggml.token_type", TANDEM_GGUF_INT32,
			      vocabulary->type_count);
	for (i = 0; i < vocabulary->type_count; i++)
		gguf_writer_u32(writer, (uint32_t)vocabulary->tokens[i].type);

	if (vocabulary->bos >= 0)
		gguf_writer_key_u32(writer, "tokenizer.ggml.bos_token_id", vocabulary->bos);
	if (vocabulary->eos >= 0)
		gguf_writer_key_u32(writer, "tokenizer.ggml.eos_token_id", vocabulary->eos);
	if (vocabulary->unknown >= 0)
		gguf_writer_key_u32(writer, "tokenizer.ggml.unknown_token_id",
				    vocabulary->unknown);
	if (vocabulary->add_bos >= 0)
		gguf_writer_key_bool(writer, "tokenizer.ggml.add_bos_token", vocabulary->add_bos);
	if (vocabulary->add_space_prefix >= 0)
		gguf_writer_key_bool(writer, "tokenizer.ggml.add_space_prefix",
				     vocabulary->add_space_prefix);
}

int vocabulary_load(const struct vocabulary *vocabulary, struct tandem_tokenizer **tokenizer,
		    struct tandem_error *error)
{
	int fd = memfd_create("vocabulary", MFD_CLOEXEC), ret;
	struct gguf_writer writer;
	char path[32];

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	gguf_writer_begin(&writer);
	put_keys(vocabulary, &writer);
	assert_int_equal(gguf_writer_save(&writer, path), 0);
	gguf_writer_end(&writer);
	ret = tandem_tokenizer_load(path, tokenizer, error);
	close(fd);
	return ret;
}
