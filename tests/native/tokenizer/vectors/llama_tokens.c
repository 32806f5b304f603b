// SPDX-License-Identifier: MIT
/*
 * Tokens as llama.cpp has them: compiled and run by make-vectors, against Debian
 * sid's libllama.
 *
 *	llama_tokens MODEL SPECIAL <texts >tokens
 *
 * texts: each its length (32 bits) and its bytes; tokens: of each text their
 * number and they (32 bits each). SPECIAL: 1 to have control tokens recognised.
 */
#include <llama.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void say_nothing(enum ggml_log_level level, const char *text, void *data)
{
	(void)data;
	if (level == GGML_LOG_LEVEL_ERROR)
		fputs(text, stderr);
}

int main(int argc, char **argv)
{
	struct llama_model_params params = llama_model_default_params();
	const struct llama_vocab *vocabulary;
	struct llama_model *model;
	uint32_t length;

	if (argc != 3)
		return 2;
	llama_log_set(say_nothing, NULL);
	llama_backend_init();
	params.vocab_only = true;
	model = llama_model_load_from_file(argv[1], params);
	if (!model)
		return 1;
	vocabulary = llama_model_get_vocab(model);
	while (fread(&length, sizeof(length), 1, stdin) == 1) {
		const int32_t room = 3 * length + 8;
		char *text = malloc(length + 1);
		llama_token *tokens = malloc(room * sizeof(*tokens));
		int32_t count;

		if (!text || !tokens || fread(text, 1, length, stdin) != length)
			return 1;
		count = llama_tokenize(vocabulary, text, length, tokens, room, false,
				       atoi(argv[2]));
		if (count < 0)
			return 1;
		fwrite(&count, sizeof(count), 1, stdout);
		fwrite(tokens, sizeof(*tokens), count, stdout);
		free(tokens);
		free(text);
	}
	llama_model_free(model);
	return fflush(stdout) != 0;
}
