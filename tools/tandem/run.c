// SPDX-License-Identifier: MIT
/*
 * tandem run: generate text, prefill and decode on two devices or one.
 *
 * Standard output gets the text and nothing else.
 */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "failure.h"
#include "report.h"
#include "session.h"

/* Prompts with fewer tokens are read too fast for a progress line. */
#define PROGRESS_TOKENS	128

enum run_key {
	KEY_MODEL = 'm',
	KEY_PROMPT = 'p',
	KEY_TOKENS = 'n',
	KEY_PREFILL = 0x100,
	KEY_DECODE,
	KEY_TRANSPORT,
	KEY_MODE,
	KEY_JSON,
	KEY_STATS,
	KEY_TEMPERATURE,
	KEY_TOP_K,
	KEY_TOP_P,
	KEY_MIN_P,
	KEY_REPEAT_PENALTY,
	KEY_REPEAT_LAST,
	KEY_SEED,
	KEY_KV_TYPE,
	KEY_BLOCK_TOKENS,
	KEY_RDMA_DEVICE,
	KEY_GID_INDEX,
	KEY_ADDRESS,
	KEY_STREAMS,
	KEY_TIMEOUT,
	KEY_VERIFY,
	KEY_NO_PREFIX_CACHE,
	KEY_KV_TOKENS,
};

/* What the command line says. */
struct run_options {
	struct session_options session;
	const char **prompts;
	uint32_t prompt_count;
	bool no_prefix_cache;
	const char *stats_path;
	uint32_t tokens;
	struct tandem_sampling sampling;
	unsigned int timeout_ms;
	bool json;
	bool verify;
};

/**
 * struct output - where tokens go
 * @tokens: all so far, @count of them
 * @text: their text, @text_bytes long
 * @print: whether they are written to standard output
 */
struct output {
	const struct tandem_tokenizer *tokenizer;
	uint32_t *tokens;
	uint32_t count;
	uint32_t previous;
	char *text;
	size_t text_bytes;
	size_t text_room;
	bool print;
	bool progress;
	bool failed;
};

static const struct argp_option options[] = {
	{ "model", KEY_MODEL, "FILE", 0, "model to run, GGUF (needed)", 0 },
	{ "prompt", KEY_PROMPT, "TEXT", 0, "text to go on from (needed); given several times, one after the other", 0 },
	{ "tokens", KEY_TOKENS, "N", 0, "tokens to generate, at most (default 128)", 0 },
	{ "mode", KEY_MODE, "disagg|agg", 0, "two devices, or one for both phases (default disagg)", 1 },
	{ "prefill", KEY_PREFILL, "DEV", 0,
	  "device that reads the prompt: accelN, or inproc:PROFILE with PROFILE trn2, trn3, wse3, h100 or host (default: one that is there)", 1 },
	{ "decode", KEY_DECODE, "DEV", 0, "device that makes the tokens, or with agg does it all", 1 },
	{ "transport", KEY_TRANSPORT, "verbs|tcp|local", 0, "how the KV cache travels (default local)", 1 },
	{ "rdma-device", KEY_RDMA_DEVICE, "NAME", 0, "with verbs: which RDMA device", 1 },
	{ "gid-index", KEY_GID_INDEX, "N", 0, "with verbs: which GID of its port", 1 },
	{ "address", KEY_ADDRESS, "ADDRESS", 0, "with tcp: address to use (default 127.0.0.1)", 1 },
	{ "streams", KEY_STREAMS, "N", 0, "with tcp: how many sockets (default 2)", 1 },
	{ "kv-type", KEY_KV_TYPE, "f32|f16|q8_0", 0, "element type of the KV cache (default f16)", 1 },
	{ "block-tokens", KEY_BLOCK_TOKENS, "N", 0, "tokens of a KV block (default 16)", 1 },
	{ "kv-tokens", KEY_KV_TOKENS, "N", 0,
	  "room for that many tokens in the KV cache (default: the model's context)", 1 },
	{ "no-prefix-cache", KEY_NO_PREFIX_CACHE, NULL, 0,
	  "compute all of each prompt, though one before began alike", 1 },
	{ "temperature", KEY_TEMPERATURE, "T", 0,
	  "draw tokens at this temperature (default 0: the likeliest)", 2 },
	{ "top-k", KEY_TOP_K, "N", 0, "draw only from the N likeliest (default: all)", 2 },
	{ "top-p", KEY_TOP_P, "P", 0,
	  "and only from the likeliest with this probability together (default 1: all)", 2 },
	{ "min-p", KEY_MIN_P, "P", 0,
	  "and only from those at least P times as likely as the likeliest (default 0: all)", 2 },
	{ "repeat-penalty", KEY_REPEAT_PENALTY, "R", 0,
	  "make tokens that were there lately less likely, 0.01 to 100 (default 1: do not)", 2 },
	{ "repeat-last", KEY_REPEAT_LAST, "N", 0,
	  "tokens that count as lately, 1 to 256 (default 64)", 2 },
	{ "seed", KEY_SEED, "N", 0, "of the drawing (default 1)", 2 },
	{ "timeout", KEY_TIMEOUT, "SECONDS", 0, "give up after that time (default: never)", 2 },
	{ "json", KEY_JSON, NULL, 0, "report as one JSON object", 3 },
	{ "stats", KEY_STATS, "FILE", 0, "report to FILE, not to standard error", 3 },
	{ "verify", KEY_VERIFY, NULL, 0,
	  "run aggregated as well, on the decode device, and fail if its tokens differ", 3 },
	{ 0 },
};

static uint64_t parse_number(struct argp_state *state, const char *what, const char *text,
			     uint64_t min, uint64_t max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < min || value > max)
		argp_error(state, "%s: '%s' is not a number from %llu to %llu", what, text,
			   (unsigned long long)min, (unsigned long long)max);
	return value;
}

static float parse_float(struct argp_state *state, const char *what, const char *text, float min,
			 float max)
{
	char *end;
	const float value = strtof(text, &end);

	/* A NaN is in no range. */
	if (end == text || *end || !(value >= min && value <= max))
		argp_error(state, "%s: '%s' is not a number from %g to %g", what, text,
			   (double)min, (double)max);
	return value;
}

/* The place of @text among @choices, which end with NULL. */
static unsigned int parse_choice(struct argp_state *state, const char *what, const char *text,
				 const char *const *choices)
{
	for (unsigned int i = 0; choices[i]; i++)
		if (!strcmp(text, choices[i]))
			return i;
	argp_error(state, "%s: there is no '%s'; see --help", what, text);
	return 0;
}

static void parse_transport(struct argp_state *state, struct run_options *run, const char *text)
{
	const int transport = tandem_transport_parse(text);

	if (transport < 0)
		argp_error(state, "--transport: there is no '%s'; it is verbs, tcp or local", text);
	run->session.connection.transport = (enum tandem_transport)transport;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	static const char *const modes[] = { "agg", "disagg", NULL };
	static const char *const kv_types[] = { "f32", "f16", "q8_0", NULL };
	/* GGUF numbers of these. */
	static const uint32_t kv_numbers[] = { 0, 1, 8 };
	struct run_options *run = state->input;

	switch (key) {
	case KEY_MODEL:
		run->session.model = argument;
		return 0;
	case KEY_PROMPT:
		run->prompts[run->prompt_count++] = argument;
		return 0;
	case KEY_TOKENS:
		run->tokens = (uint32_t)parse_number(state, "--tokens", argument, 1, UINT32_MAX);
		return 0;
	case KEY_PREFILL:
		run->session.prefill = argument;
		return 0;
	case KEY_DECODE:
		run->session.decode = argument;
		return 0;
	case KEY_TRANSPORT:
		parse_transport(state, run, argument);
		return 0;
	case KEY_MODE:
		run->session.split = parse_choice(state, "--mode", argument, modes);
		return 0;
	case KEY_JSON:
		run->json = true;
		return 0;
	case KEY_STATS:
		run->stats_path = argument;
		return 0;
	case KEY_TEMPERATURE:
		run->sampling.temperature = parse_float(state, "--temperature", argument, 0, 1000);
		return 0;
	case KEY_TOP_K:
		run->sampling.top_k =
			(uint32_t)parse_number(state, "--top-k", argument, 0, UINT32_MAX);
		return 0;
	case KEY_TOP_P:
		run->sampling.top_p = parse_float(state, "--top-p", argument, 1e-6f, 1);
		return 0;
	case KEY_MIN_P:
		run->sampling.min_p = parse_float(state, "--min-p", argument, 0, 1);
		return 0;
	case KEY_REPEAT_PENALTY:
		run->sampling.repeat_penalty =
			parse_float(state, "--repeat-penalty", argument, 0.01f, 100);
		return 0;
	case KEY_REPEAT_LAST:
		run->sampling.repeat_last = (uint32_t)parse_number(state, "--repeat-last", argument,
								   1, TANDEM_REPEAT_LAST_MAX);
		return 0;
	case KEY_SEED:
		run->sampling.seed = parse_number(state, "--seed", argument, 0, UINT64_MAX);
		return 0;
	case KEY_KV_TYPE:
		run->session.instance.kv_type =
			kv_numbers[parse_choice(state, "--kv-type", argument, kv_types)];
		return 0;
	case KEY_BLOCK_TOKENS:
		run->session.instance.block_tokens =
			(uint32_t)parse_number(state, "--block-tokens", argument, 1, 4096);
		return 0;
	case KEY_KV_TOKENS:
		run->session.instance.kv_tokens =
			(uint32_t)parse_number(state, "--kv-tokens", argument, 1, 1u << 30);
		return 0;
	case KEY_NO_PREFIX_CACHE:
		run->no_prefix_cache = true;
		return 0;
	case KEY_RDMA_DEVICE:
		run->session.connection.rdma_device = argument;
		return 0;
	case KEY_GID_INDEX:
		run->session.connection.gid_index =
			(int)parse_number(state, "--gid-index", argument, 0, 65535);
		return 0;
	case KEY_ADDRESS:
		run->session.connection.address = argument;
		return 0;
	case KEY_STREAMS:
		run->session.connection.streams =
			(unsigned int)parse_number(state, "--streams", argument, 1, 16);
		return 0;
	case KEY_TIMEOUT:
		run->timeout_ms =
			1000u * (unsigned int)parse_number(state, "--timeout", argument, 1, 4000000);
		return 0;
	case KEY_VERIFY:
		run->verify = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is one word too many; put the prompt into quotes", argument);
		return 0;
	case ARGP_KEY_END:
		if (!run->session.model || !run->prompt_count)
			argp_error(state, "--model and --prompt are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Return the ids of the prompt, to be freed, or NULL with @error filled in. */
static uint32_t *tokenize(const struct tandem_model *model, const char *prompt, uint32_t *count,
			  struct tandem_error *error)
{
	const struct tandem_tokenizer *tokenizer = tandem_model_tokenizer(model);
	const bool add_bos = tandem_tokenizer_add_bos(tokenizer);
	const size_t length = strlen(prompt);
	uint32_t *tokens = NULL;
	ssize_t ret;

	ret = tandem_tokenizer_encode(tokenizer, prompt, length, add_bos, NULL, 0);
	if (ret > 0) {
		tokens = calloc((size_t)ret, sizeof(*tokens));
		ret = !tokens ? -ENOMEM :
		      tandem_tokenizer_encode(tokenizer, prompt, length, add_bos, tokens,
					      (size_t)ret);
	}
	if (ret > 0) {
		*count = (uint32_t)ret;
		return tokens;
	}
	failure(error, ret ? (int)ret : -EINVAL, "prompt: %s",
		ret ? strerror(-(int)ret) :
		      "is empty, and the model has no token to begin with");
	free(tokens);
	return NULL;
}

/* Add the text of @token to what there is. Return: its bytes, or -errno. */
static ssize_t append_piece(struct output *output, uint32_t token)
{
	const size_t longest = tandem_tokenizer_piece_max(output->tokenizer);
	ssize_t size;

	if (longest > output->text_room - output->text_bytes) {
		const size_t room = (output->text_bytes + longest) * 2;
		char *grown = realloc(output->text, room);

		if (!grown)
			return -ENOMEM;
		output->text = grown;
		output->text_room = room;
	}
	size = tandem_tokenizer_decode(output->tokenizer, token, output->previous,
				       output->text + output->text_bytes, longest);
	if (size > 0)
		output->text_bytes += (size_t)size;
	return size;
}

static void clear_progress(struct output *output)
{
	if (output->progress)
		fputs("\r\033[K", stderr);
	output->progress = false;
}

static void show_progress(void *user, uint64_t done, uint64_t total)
{
	struct output *output = user;

	if (output->progress)
		fprintf(stderr, "\rprefill %3.0f %%", 100.0 * (double)done / (double)total);
}

static int take_token(void *user, uint32_t token)
{
	struct output *output = user;
	const char *piece;
	ssize_t size;

	clear_progress(output);
	size = append_piece(output, token);
	output->tokens[output->count++] = token;
	output->previous = token;
	if (size < 0) {
		output->failed = true;
		return 1;
	}
	if (!output->print)
		return 0;
	piece = output->text + output->text_bytes - size;
	/* A reader that has gone away ends the run. */
	if (fwrite(piece, 1, (size_t)size, stdout) != (size_t)size || fflush(stdout))
		output->failed = true;
	return output->failed;
}

static int generate(const struct run_options *run, struct session *session,
		    const uint32_t *prompt, uint32_t prompt_tokens, bool split,
		    bool no_prefix_cache, struct output *output, struct tandem_generation_stats *stats,
		    struct tandem_error *error)
{
	const struct tandem_generation generation = {
		.prefill = split ? session->prefill : session->decode,
		.decode = session->decode,
		.push = split ? session->push : NULL,
		.receive = split ? session->receive : NULL,
		.prompt = prompt,
		.prompt_tokens = prompt_tokens,
		.tokens_max = run->tokens,
		.sampling = run->sampling,
		.timeout_ms = run->timeout_ms,
		.no_prefix_cache = no_prefix_cache,
		.on_token = take_token,
		.on_prefill = show_progress,
		.user = output,
	};
	struct tandem_model_info info;
	int ret;

	tandem_model_get_info(session->model, &info);
	output->tokenizer = tandem_model_tokenizer(session->model);
	output->previous = prompt[prompt_tokens - 1];
	output->tokens = calloc(info.context + 1, sizeof(*output->tokens));
	if (!output->tokens)
		return failure(error, -ENOMEM, "out of memory");
	output->progress = output->print && prompt_tokens >= PROGRESS_TOKENS && isatty(STDERR_FILENO);
	ret = tandem_generate(session->loop, &generation, stats, error);
	clear_progress(output);
	if (!ret && output->failed)
		ret = failure(error, -EIO, "standard output: the text could not be written");
	return ret;
}

static void output_free(struct output *output)
{
	free(output->tokens);
	free(output->text);
}

/* The reports of all prompts go to one file, one after the other. */
static int write_report(const struct run_options *run, const struct report *report, bool first)
{
	FILE *file = run->stats_path ? fopen(run->stats_path, first ? "w" : "a") : stderr;
	int ret = -errno;

	if (file) {
		ret = run->json ? report_json(report, file) : report_table(report, file);
		if (run->stats_path && fclose(file) && !ret)
			ret = -errno;
	}
	if (ret)
		fprintf(stderr, "tandem: %s: the report could not be written: %s\n",
			run->stats_path ? run->stats_path : "standard error", strerror(-ret));
	return ret;
}

/* What one of the runs has cached may not help the other: that would prove nothing. */
static int run_verified(const struct run_options *run, struct session *session,
			const uint32_t *prompt, uint32_t prompt_tokens,
			const struct output *split, enum report_verified *verified,
			struct tandem_error *error)
{
	struct tandem_generation_stats stats;
	struct output output = { 0 };
	int ret;

	ret = generate(run, session, prompt, prompt_tokens, false, true, &output, &stats, error);
	if (!ret)
		*verified = output.count == split->count &&
			    !memcmp(output.tokens, split->tokens,
				    split->count * sizeof(*split->tokens)) ?
			    REPORT_SAME : REPORT_DIFFERENT;
	output_free(&output);
	return ret;
}

/* Run prompt @index, on a session that is open. Return: the exit status. */
static int run_prompt(const struct run_options *run, struct session *session, uint32_t index)
{
	const bool split = run->session.split;
	struct tandem_generation_stats stats;
	struct tandem_error error = { 0 };
	struct output output = { .print = true };
	struct report report = {
		.transport = split ?
			tandem_transport_name(run->session.connection.transport) : NULL,
		.prefill_device = split ? session->prefill_info.name : session->decode_info.name,
		.prefill_profile = split ? session->prefill_info.profile :
					   session->decode_info.profile,
		.decode_device = session->decode_info.name,
		.decode_profile = session->decode_info.profile,
		.stats = &stats,
	};
	uint32_t *prompt;
	int status = 1;

	prompt = tokenize(session->model, run->prompts[index], &report.prompt_tokens, &error);
	if (!prompt)
		return failure_print(&error);
	if (generate(run, session, prompt, report.prompt_tokens, split, run->no_prefix_cache,
		     &output, &stats, &error)) {
		if (output.text_bytes)
			putchar('\n');
		failure_print(&error);
		goto out;
	}
	putchar('\n');
	fflush(stdout);
	if (run->verify && split &&
	    run_verified(run, session, prompt, report.prompt_tokens, &output, &report.verified,
			 &error)) {
		failure_print(&error);
		goto out;
	}
	report.text = output.text;
	report.text_bytes = output.text_bytes;
	if (!write_report(run, &report, !index))
		status = report.verified == REPORT_DIFFERENT;
out:
	output_free(&output);
	free(prompt);
	return status;
}

/* All prompts in turn, up to one that fails. Return: the exit status. */
static int run_on(const struct run_options *run, struct session *session)
{
	int status = 0;

	for (uint32_t i = 0; i < run->prompt_count && !status; i++)
		status = run_prompt(run, session, i);
	return status;
}

int command_run(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Generate text with a model, reading the prompt on one device and making the tokens on another. The text goes to standard output, a report to standard error.",
	};
	struct run_options run = {
		.session = {
			.split = true,
			.connection = { .transport = TANDEM_TRANSPORT_LOCAL, .gid_index = -1 },
			.instance = { .kv_type = 1 },
		},
		.tokens = 128,
		.sampling = { .seed = 1 },
	};
	struct tandem_error error = { 0 };
	struct session session;
	int status = 1;

	/* There cannot be more prompts than arguments. */
	run.prompts = calloc(argc, sizeof(*run.prompts));
	if (!run.prompts) {
		failure(&error, -ENOMEM, "out of memory");
		return failure_print(&error);
	}
	argp_parse(&argp, argc, argv, 0, NULL, &run);
	if (session_open(&session, &run.session, &error)) {
		failure_print(&error);
		goto free_prompts;
	}
	status = run_on(&run, &session);
	session_close(&session);
free_prompts:
	free(run.prompts);
	return status;
}
