// SPDX-License-Identifier: MIT
/*
 * tandem tokenize: the tokens of a text.
 */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <tandem/tandem.h>

#include "commands.h"
#include "failure.h"

#define KEY_MODEL	'm'
#define KEY_JSON	'j'
#define KEY_IDS		0x100
#define KEY_NO_BOS	0x101
#define KEY_PLAIN	0x102

struct tokenize_options {
	const char *model;
	const char *text;
	bool json;
	bool ids_only;
	bool no_bos;
	bool plain;
};

static const struct argp_option options[] = {
	{ "model", KEY_MODEL, "FILE", 0, "GGUF file; only its tokenizer is used", 0 },
	{ "json", KEY_JSON, NULL, 0,
	  "one JSON object: ids, and tokens with their pieces; a piece that is no text is an array of bytes",
	  0 },
	{ "ids", KEY_IDS, NULL, 0, "only the ids, as [1, 2, 3]", 0 },
	{ "no-bos", KEY_NO_BOS, NULL, 0, "no BOS token, even if the model wants one", 0 },
	{ "no-parse-special", KEY_PLAIN, NULL, 0,
	  "control tokens that are spelled out in the text are text", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct tokenize_options *tokenize = state->input;

	switch (key) {
	case KEY_MODEL:
		tokenize->model = argument;
		return 0;
	case KEY_JSON:
		tokenize->json = true;
		return 0;
	case KEY_IDS:
		tokenize->ids_only = true;
		return 0;
	case KEY_NO_BOS:
		tokenize->no_bos = true;
		return 0;
	case KEY_PLAIN:
		tokenize->plain = true;
		return 0;
	case ARGP_KEY_ARG:
		if (tokenize->text)
			argp_error(state, "'%s' is one word too many; put the text into quotes",
				   argument);
		tokenize->text = argument;
		return 0;
	case ARGP_KEY_END:
		if (!tokenize->model)
			argp_error(state, "--model is needed");
		if (tokenize->json && tokenize->ids_only)
			argp_error(state, "--json has the ids; it does not go with --ids");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* All of standard input, to be freed, or NULL with @error filled in. */
static char *read_input(size_t *length, struct tandem_error *error)
{
	const size_t room = (size_t)TANDEM_TOKENIZER_TEXT_MAX + 1;
	char *text = malloc(room);

	if (!text) {
		failure(error, -ENOMEM, "standard input: no memory to read it");
		return NULL;
	}
	*length = fread(text, 1, room, stdin);
	if (ferror(stdin)) {
		failure(error, -EIO, "standard input: cannot read");
		free(text);
		return NULL;
	}
	return text;
}

/* The tokens of a text, to be freed, or NULL with @error filled in. */
static uint32_t *encode(const struct tandem_tokenizer *tokenizer, const char *text, size_t length,
			unsigned int flags, size_t *count, struct tandem_error *error)
{
	uint32_t *ids = NULL;
	ssize_t ret;

	ret = tandem_tokenizer_encode(tokenizer, text, length, flags, NULL, 0);
	if (ret >= 0) {
		*count = (size_t)ret;
		ids = calloc(*count + 1, sizeof(*ids));
		ret = ids ? tandem_tokenizer_encode(tokenizer, text, length, flags, ids, *count) :
			    -ENOMEM;
	}
	if (ret >= 0)
		return ids;
	if (ret == -E2BIG)
		failure(error, (int)ret, "text: is longer than %u bytes; take it in parts",
			TANDEM_TOKENIZER_TEXT_MAX);
	else
		failure(error, (int)ret, "text: %s", strerror(-(int)ret));
	free(ids);
	return NULL;
}

static void print_ids(const uint32_t *ids, size_t count)
{
	putchar('[');
	for (size_t i = 0; i < count; i++)
		printf("%s%u", i ? ", " : "", ids[i]);
	puts("]");
}

/*
 * Bytes that a terminal could take for something else are escaped, and so are
 * those of parts of characters.
 */
static void print_piece(const char *piece, size_t length)
{
	json_t *whole = json_stringn(piece, length);

	for (size_t i = 0; i < length; i++) {
		const unsigned char byte = (unsigned char)piece[i];

		if (byte == '\n')
			fputs("\\n", stdout);
		else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !whole))
			printf("\\x%02x", byte);
		else
			putchar(byte);
	}
	json_decref(whole);
}

static json_t *piece_json(const char *piece, size_t length)
{
	json_t *value = json_stringn(piece, length);

	if (value)
		return value;
	value = json_array();
	for (size_t i = 0; i < length; i++)
		json_array_append_new(value, json_integer((unsigned char)piece[i]));
	return value;
}

static int show(const struct tandem_tokenizer *tokenizer, const uint32_t *ids, size_t count,
		bool json, struct tandem_error *error)
{
	const size_t room = tandem_tokenizer_piece_max(tokenizer);
	json_t *all = json_array(), *tokens = json_array(), *object;
	char *piece = malloc(room);

	if (!piece) {
		json_decref(all);
		json_decref(tokens);
		return failure(error, -ENOMEM, "no memory for the text of a token");
	}
	for (size_t i = 0; i < count; i++) {
		/* The room suffices, and the tokenizer knows its own ids. */
		const size_t length =
			(size_t)tandem_tokenizer_piece(tokenizer, ids[i], piece, room);

		if (json) {
			json_array_append_new(all, json_integer(ids[i]));
			json_array_append_new(tokens,
					      json_pack("{s:i, s:o}", "id", (int)ids[i], "piece",
							piece_json(piece, length)));
		} else {
			printf("%6u -> '", ids[i]);
			print_piece(piece, length);
			puts("'");
		}
	}
	object = json_pack("{s:o, s:o}", "ids", all, "tokens", tokens);
	if (json) {
		json_dumpf(object, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(object);
	free(piece);
	return 0;
}

static int tokenize_text(const struct tokenize_options *tokenize,
			 const struct tandem_tokenizer *tokenizer, const char *text, size_t length,
			 struct tandem_error *error)
{
	unsigned int flags = tokenize->plain ? TANDEM_ENCODE_USER_DEFINED : TANDEM_ENCODE_SPECIAL;
	uint32_t *ids;
	size_t count;
	int ret = 0;

	if (tandem_tokenizer_add_bos(tokenizer) && !tokenize->no_bos)
		flags |= TANDEM_ENCODE_BOS;
	if (tandem_tokenizer_add_eos(tokenizer))
		flags |= TANDEM_ENCODE_EOS;
	ids = encode(tokenizer, text, length, flags, &count, error);
	if (!ids)
		return error->code;
	if (tokenize->ids_only)
		print_ids(ids, count);
	else
		ret = show(tokenizer, ids, count, tokenize->json, error);
	free(ids);
	return ret;
}

int command_tokenize(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "[TEXT]",
		.doc = "Show the tokens of a text, or of standard input: a line for each, its id and its piece. BOS and EOS are added as the model file says. Control tokens that are spelled out in the text, such as <|im_start|>, are taken for those tokens, as in a prompt template.\v"
		       "In lines, \\n and \\xNN stand for bytes that are not to be printed.",
	};
	struct tokenize_options tokenize = { 0 };
	struct tandem_tokenizer *tokenizer = NULL;
	struct tandem_error error = { 0 };
	char *input = NULL;
	size_t length = 0;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &tokenize);
	ret = tandem_tokenizer_load(tokenize.model, &tokenizer, &error);
	if (ret)
		return failure_print(&error);
	if (tokenize.text) {
		length = strlen(tokenize.text);
	} else {
		input = read_input(&length, &error);
		ret = input ? 0 : error.code;
	}
	if (!ret)
		ret = tokenize_text(&tokenize, tokenizer, input ? input : tokenize.text, length,
				    &error);
	if (!ret && (fflush(stdout) || ferror(stdout)))
		ret = failure(&error, -EIO, "standard output: cannot write");
	free(input);
	tandem_tokenizer_destroy(tokenizer);
	return ret ? failure_print(&error) : 0;
}
