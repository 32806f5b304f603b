// SPDX-License-Identifier: MIT
/*
 * tandem run: generate text, prefill and decode on two devices or one.
 */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "commands.h"
#include "failure.h"
#include "prompts.h"
#include "report.h"
#include "serve.h"
#include "session.h"
#include "transfers.h"

/* Requests that are served at once, unless something else is asked for. */
#define BATCH_DEFAULT	8
#define BATCH_MAX	64

/* Bytes that a KV store may have, unless something else is asked for. */
#define KV_STORE_DEFAULT	(1ull << 30)

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
	KEY_KV_STORE,
	KEY_KV_STORE_SIZE,
	KEY_KV_STORE_WAIT,
	KEY_RDMA_DEVICE,
	KEY_RDMA_PAIRS,
	KEY_GID_INDEX,
	KEY_ADDRESS,
	KEY_STREAMS,
	KEY_TIMEOUT,
	KEY_VERIFY,
	KEY_NO_PREFIX_CACHE,
	KEY_KV_TOKENS,
	KEY_PROMPTS,
	KEY_BATCH,
	KEY_CHUNK_TOKENS,
	KEY_PARSE_SPECIAL,
};

/* What the command line says. */
struct run_options {
	struct session_options session;
	struct serve_options serve;
	const char **prompts;
	uint32_t prompt_count;
	const char *prompts_path;
	const char *stats_path;
	uint32_t tokens;
	struct tandem_sampling sampling;
	unsigned int timeout_ms;
	bool json;
	bool verify;
};

/**
 * struct reporting - what has been told so far
 * @first: nothing; a file for it is begun anew
 * @status: to exit with
 * @transfers: that have been read and are of answers to come
 */
struct reporting {
	const struct run_options *run;
	struct transfers transfers;
	bool first;
	int status;
};

/**
 * struct aggregated - an answer, made once more on one device
 * @answer: to compare with
 * @count: tokens so far
 * @same: they were the same
 */
struct aggregated {
	const struct answer *answer;
	uint32_t count;
	bool same;
};

static const struct argp_option options[] = {
	{ "model", KEY_MODEL, "FILE", 0, "model to run, GGUF (needed)", 0 },
	{ "prompt", KEY_PROMPT, "TEXT", 0, "text to go on from; may be given several times", 0 },
	{ "prompts", KEY_PROMPTS, "FILE", 0,
	  "more prompts, as JSON lines: {\"prompt\": TEXT} with, if need be, \"tokens\", \"temperature\", \"seed\", \"timeout\" and \"tenant\"; - for standard input", 0 },
	{ "batch", KEY_BATCH, "N", 0,
	  "serve up to N prompts at once, 1 to 64 (default 8); with 1, one after the other", 0 },
	{ "parse-special", KEY_PARSE_SPECIAL, NULL, 0,
	  "control tokens may be spelled out in prompts (not for text of strangers)", 0 },
	{ "tokens", KEY_TOKENS, "N", 0, "tokens to generate, at most (default 128)", 0 },
	{ "mode", KEY_MODE, "disagg|agg", 0, "two devices, or one for both phases (default disagg)", 1 },
	{ "prefill", KEY_PREFILL, "DEV", 0,
	  "device that reads the prompt: accelN, or inproc:PROFILE with PROFILE trn2, trn3, wse3, h100 or host (default: one that is there)", 1 },
	{ "decode", KEY_DECODE, "DEV", 0, "device that makes the tokens, or with agg does it all", 1 },
	{ "transport", KEY_TRANSPORT, "auto|local|verbs|tcp", 0,
	  "how the KV cache travels (default local); auto takes the first that reaches, and the report says why", 1 },
	{ "rdma-device", KEY_RDMA_DEVICE, "NAME", 0, "with verbs: which RDMA device, or several with commas between", 1 },
	{ "rdma-pairs", KEY_RDMA_PAIRS, "N", 0, "with verbs: queue pairs on each (default 1)", 1 },
	{ "gid-index", KEY_GID_INDEX, "N", 0, "with verbs: which GID of its port", 1 },
	{ "address", KEY_ADDRESS, "ADDRESS", 0, "with tcp: address to use (default 127.0.0.1)", 1 },
	{ "streams", KEY_STREAMS, "N", 0, "with tcp: how many sockets (default 2)", 1 },
	{ "kv-type", KEY_KV_TYPE, "f32|f16|q8_0", 0, "element type of the KV cache (default f16)", 1 },
	{ "block-tokens", KEY_BLOCK_TOKENS, "N", 0, "tokens of a KV block (default 16)", 1 },
	{ "kv-tokens", KEY_KV_TOKENS, "N", 0,
	  "room for that many tokens in the KV cache (default: the model's context)", 1 },
	{ "chunk-tokens", KEY_CHUNK_TOKENS, "N", 0,
	  "tokens of a prompt that are computed before others have their turn (default 256)", 1 },
	{ "kv-store", KEY_KV_STORE, "FILE", 0,
	  "keep the KV of prompts and answers there, for prompts to come that begin alike", 1 },
	{ "kv-store-size", KEY_KV_STORE_SIZE, "MIB", 0,
	  "room that it may take (default 1024)", 1 },
	{ "kv-store-wait", KEY_KV_STORE_WAIT, "MS", 0,
	  "compute what does not come back from there within that time (default 200), or slower than it is computed", 1 },
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
		argp_error(state, "--transport: there is no '%s'; it is auto, local, verbs or tcp", text);
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
	case KEY_PROMPTS:
		run->prompts_path = argument;
		return 0;
	case KEY_BATCH:
		run->serve.batch = (uint32_t)argument_number(state, "--batch", argument, 1, BATCH_MAX);
		return 0;
	case KEY_CHUNK_TOKENS:
		run->serve.chunk_tokens =
			(uint32_t)argument_number(state, "--chunk-tokens", argument, 1, 65536);
		return 0;
	case KEY_PARSE_SPECIAL:
		run->serve.parse_special = true;
		return 0;
	case KEY_TOKENS:
		run->tokens = (uint32_t)argument_number(state, "--tokens", argument, 1, UINT32_MAX);
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
			(uint32_t)argument_number(state, "--top-k", argument, 0, UINT32_MAX);
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
		run->sampling.repeat_last = (uint32_t)argument_number(state, "--repeat-last", argument,
								   1, TANDEM_REPEAT_LAST_MAX);
		return 0;
	case KEY_SEED:
		run->sampling.seed = argument_number(state, "--seed", argument, 0, UINT64_MAX);
		return 0;
	case KEY_KV_TYPE:
		run->session.instance.kv_type =
			kv_numbers[parse_choice(state, "--kv-type", argument, kv_types)];
		return 0;
	case KEY_BLOCK_TOKENS:
		run->session.instance.block_tokens =
			(uint32_t)argument_number(state, "--block-tokens", argument, 1, 4096);
		return 0;
	case KEY_KV_TOKENS:
		run->session.instance.kv_tokens =
			(uint32_t)argument_number(state, "--kv-tokens", argument, 1, 1u << 30);
		return 0;
	case KEY_NO_PREFIX_CACHE:
		run->serve.no_prefix_cache = true;
		return 0;
	case KEY_RDMA_DEVICE:
		run->session.connection.rdma_device = argument;
		return 0;
	case KEY_RDMA_PAIRS:
		run->session.connection.rdma_pairs =
			(unsigned int)argument_number(state, "--rdma-pairs", argument, 1, 8);
		return 0;
	case KEY_GID_INDEX:
		run->session.connection.gid_index =
			(int)argument_number(state, "--gid-index", argument, 0, 65535);
		return 0;
	case KEY_ADDRESS:
		run->session.connection.address = argument;
		return 0;
	case KEY_KV_STORE:
		run->session.kv_store = argument;
		return 0;
	case KEY_KV_STORE_SIZE:
		run->session.kv_store_bytes =
			argument_number(state, "--kv-store-size", argument, 1, 1u << 30) << 20;
		return 0;
	case KEY_KV_STORE_WAIT:
		run->session.kv_store_wait_ms =
			(unsigned int)argument_number(state, "--kv-store-wait", argument, 1, 3600000);
		return 0;
	case KEY_STREAMS:
		run->session.connection.streams =
			(unsigned int)argument_number(state, "--streams", argument, 1, 16);
		return 0;
	case KEY_TIMEOUT:
		run->timeout_ms =
			1000u * (unsigned int)argument_number(state, "--timeout", argument, 1, 4000000);
		return 0;
	case KEY_VERIFY:
		run->verify = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is one word too many; put the prompt into quotes", argument);
		return 0;
	case ARGP_KEY_END:
		if (!run->session.model || (!run->prompt_count && !run->prompts_path))
			argp_error(state, "--model and --prompt or --prompts are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
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

static int compare_token(void *user, uint32_t token)
{
	struct aggregated *again = user;
	const struct answer *answer = again->answer;

	again->same = again->same && again->count < answer->count &&
		      answer->tokens[again->count] == token;
	again->count++;
	return 0;
}

/* What was cached for one of the runs may not help the other: that would prove nothing. */
static int verify(const struct run_options *run, struct session *session, struct answer *answer,
		  enum report_verified *verified, struct tandem_error *error)
{
	struct aggregated again = { .answer = answer, .same = true };
	const struct tandem_generation generation = {
		.prefill = session->decode,
		.decode = session->decode,
		.prompt = answer->prompt_tokens,
		.prompt_tokens = answer->prompt_count,
		.tokens_max = answer->prompt->tokens,
		.sampling = answer->prompt->sampling,
		.timeout_ms = run->timeout_ms,
		.no_prefix_cache = true,
		.on_token = compare_token,
		.user = &again,
	};
	int ret = tandem_generate(session->loop, &generation, NULL, error);

	if (!ret)
		*verified = again.same && again.count == answer->count ? REPORT_SAME :
									 REPORT_DIFFERENT;
	return ret;
}

/* Tell how one prompt went. @reporting.status is the exit status so far. */
static void report_answer(struct answer *answer, void *user)
{
	struct reporting *reporting = user;
	const struct run_options *run = reporting->run;
	struct session *session = answer->serving->session;
	const bool split = run->session.split;
	struct report report = {
		.prompt = (uint32_t)(answer - answer->serving->answers),
		.prompts = answer->serving->count,
		.text = answer->text,
		.text_bytes = answer->text_bytes,
		.prompt_tokens = answer->prompt_count,
		.connection = session->push,
		.store = session->store,
		.store_late = session_store_late(session),
		.prefill = split ? &session->prefill_info : &session->decode_info,
		.decode = &session->decode_info,
		.result = &answer->result,
	};
	struct tandem_error error = answer->result.error;

	if (run->json && answer->result.stats.kv_transfer)
		report.transfers = transfers_take(&reporting->transfers, session,
						  answer->result.stats.kv_transfer);
	if (!error.code && run->verify && split)
		verify(run, session, answer, &report.verified, &error);
	if (error.code)
		failure_print(&error);
	/* Of a single prompt that failed, the message says it all. */
	if ((!error.code || report.prompts > 1) && write_report(run, &report, reporting->first))
		reporting->status = 1;
	json_decref(report.transfers);
	reporting->first = false;
	if (error.code || report.verified == REPORT_DIFFERENT)
		reporting->status = 1;
}

/* Have all prompts answered. Return: the exit status. */
static int run_on(const struct run_options *run, struct session *session,
		  const struct prompts *prompts)
{
	struct reporting reporting = { .run = run, .first = true };
	struct serving serving = { .session = session, .user = &reporting };
	struct tandem_error error = { 0 };

	/* To verify takes the device for itself: when all are served. */
	if (!run->verify)
		serving.on_answer = report_answer;
	if (serve(&serving, prompts, &run->serve, &error))
		reporting.status = failure_print(&error);
	for (uint32_t i = 0; i < serving.count && run->verify && !error.code; i++)
		report_answer(&serving.answers[i], &reporting);
	serving_free(&serving);
	transfers_free(&reporting.transfers);
	return reporting.status;
}

/* Those of the command line, then those of the file. */
static int gather_prompts(const struct run_options *run, struct prompts *prompts,
			  struct tandem_error *error)
{
	const struct prompt like = {
		.tokens = run->tokens,
		.sampling = run->sampling,
		.timeout_ms = run->timeout_ms,
	};
	int ret = 0;

	for (uint32_t i = 0; i < run->prompt_count && !ret; i++)
		ret = prompts_add(prompts, run->prompts[i], &like, error);
	if (!ret && run->prompts_path)
		ret = prompts_read(prompts, run->prompts_path, &like, error);
	if (!ret && !prompts->count)
		ret = failure(error, -EINVAL, "%s: there is no prompt in it", run->prompts_path);
	return ret;
}

int command_run(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Generate text with a model, reading prompts on one device and making the tokens on another. The texts go to standard output, a report to standard error.",
	};
	struct run_options run = {
		.session = {
			.split = true,
			.connection = { .transport = TANDEM_TRANSPORT_LOCAL, .gid_index = -1 },
			.instance = { .kv_type = 1 },
			.kv_store_bytes = KV_STORE_DEFAULT,
		},
		.serve = { .batch = BATCH_DEFAULT },
		.tokens = 128,
		.sampling = { .seed = 1 },
	};
	struct tandem_error error = { 0 };
	struct prompts prompts = { 0 };
	struct session session;
	int status = 1;

	/* There cannot be more prompts than arguments. */
	run.prompts = calloc(argc, sizeof(*run.prompts));
	if (!run.prompts) {
		failure(&error, -ENOMEM, "out of memory");
		return failure_print(&error);
	}
	argp_parse(&argp, argc, argv, 0, NULL, &run);
	run.session.instance.batch_max = run.serve.batch;
	run.session.connection.records = run.json ? TRANSFERS_KEPT : 0;
	if (gather_prompts(&run, &prompts, &error) ||
	    session_open(&session, &run.session, &error)) {
		failure_print(&error);
		goto free_prompts;
	}
	status = run_on(&run, &session, &prompts);
	/* The answers are there; that it could not be kept fails none of them. */
	if (session_store(&session, &error))
		failure_print(&error);
	if (session_store_late(&session)) {
		failure(&error, -ETIMEDOUT, "%s: it did not answer in time, and was left alone for a while; see how its disk does, or give it more time (--kv-store-wait)",
			run.session.kv_store);
		failure_print(&error);
	}
	session_close(&session);
free_prompts:
	prompts_free(&prompts);
	free(run.prompts);
	return status;
}
