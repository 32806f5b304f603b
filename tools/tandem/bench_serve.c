// SPDX-License-Identifier: MIT
/*
 * tandem bench serve: what many requests get from two devices, beside what they get
 * from the second one alone, by turns in one run.
 */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "arguments.h"
#include "bench_arguments.h"
#include "bench_table.h"
#include "failure.h"
#include "session.h"

#define BATCH_MAX	64
#define KV_TYPE_F16	1
/* Of one device's throughput two are to have at least that. */
#define DECODE_AIM	0.95
#define EXPOSED_AIM	0.95

struct serve_bench_options {
	struct session_options session;
	unsigned long batch;
	unsigned long prompt;
	unsigned long tokens;
	unsigned long rounds;
	bool json;
};

/**
 * struct load - requests that are served together, and what is seen of them
 * @count: how many
 * @started: that have their first token
 * @all: all have, and none is through: the time that counts for decode
 * @since: when that began
 * @lasted: seconds
 * @made: tokens made in that time
 */
struct load {
	unsigned long count, tokens;
	unsigned long started, made;
	bool all;
	double since, lasted;
};

struct load_request {
	struct load *load;
	unsigned long made;
	uint32_t *prompt;
	struct tandem_operation op;
	struct tandem_request_result result;
};

/**
 * struct figures - of one way to serve, in one round
 * @decode: tokens/s while all decode
 * @whole: tokens/s from the first request's start to the last one's end
 * @first: requests/s up to their first tokens: their number by the sum of times
 * @shown: share of the time to first token that is not spent waiting for the
 *	transfer, in %
 */
struct figures {
	double decode, whole, first, shown;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int take_token(void *user, uint32_t token)
{
	struct load_request *request = user;
	struct load *load = request->load;

	(void)token;
	load->made += load->all;
	if (!request->made++ && ++load->started == load->count) {
		load->all = true;
		load->since = now();
	}
	if (load->all && request->made == load->tokens) {
		load->all = false;
		load->lasted = now() - load->since;
	}
	return 0;
}

static int start_all(const struct serve_bench_options *options, const struct session *session,
		     struct tandem_scheduler *scheduler, struct load_request *requests,
		     struct tandem_error *error)
{
	struct tandem_model_info info;
	int ret = 0;

	tandem_model_get_info(session->model, &info);
	for (unsigned long i = 0; i < options->batch && !ret; i++) {
		const struct tandem_request request = {
			.prompt = requests[i].prompt,
			.prompt_tokens = (uint32_t)options->prompt,
			.tokens_max = (uint32_t)options->tokens,
			.no_prefix_cache = 1,
			.ignore_end = 1,
			.on_token = take_token,
			.user = &requests[i],
		};

		for (unsigned long j = 0; j < options->prompt; j++)
			requests[i].prompt[j] = (uint32_t)((i * 31 + j * 7919) % info.vocabulary);
		ret = tandem_request_start(scheduler, &request, &requests[i].result,
					   &requests[i].op);
		if (ret)
			*error = requests[i].result.error;
	}
	return ret;
}

/* All have ended; one that ended early, or failed, spoils the figures. */
static int collect(const struct serve_bench_options *options, const struct load *load,
		   const struct load_request *requests, double seconds, struct figures *figures,
		   struct tandem_error *error)
{
	double ttft = 0, exposed = 0;
	unsigned long tokens = 0;

	for (unsigned long i = 0; i < options->batch; i++) {
		const struct tandem_request_result *result = &requests[i].result;

		if (requests[i].op.result < 0) {
			*error = result->error;
			return requests[i].op.result;
		}
		if (result->stats.generated < options->tokens)
			return failure(error, -EINVAL,
				       "a request ended after %u of %lu tokens, as the context was full: ask for fewer",
				       result->stats.generated, options->tokens);
		tokens += result->stats.generated;
		ttft += (double)result->stats.ttft_ns / 1e9;
		exposed += (double)result->stats.kv_exposed_ns / 1e9;
	}
	if (!load->made || !(load->lasted > 0))
		return failure(error, -EINVAL,
			       "never were all of %lu requests in decode at once: ask for more --tokens",
			       options->batch);
	figures->decode = (double)load->made / load->lasted;
	figures->whole = (double)tokens / seconds;
	figures->first = (double)options->batch / ttft;
	figures->shown = 100 * (1 - exposed / ttft);
	return 0;
}

static int serve_all(const struct serve_bench_options *options, const struct session *session,
		     struct tandem_scheduler *scheduler, struct load_request *requests,
		     struct figures *figures, struct tandem_error *error)
{
	struct load load = { .count = options->batch, .tokens = options->tokens };
	const double start = now();
	int ret;

	for (unsigned long i = 0; i < options->batch; i++)
		requests[i].load = &load;
	ret = start_all(options, session, scheduler, requests, error);
	for (unsigned long i = 0; i < options->batch && !ret; i++)
		while (requests[i].op.pending && !ret) {
			ret = tandem_loop_run(session->loop, -1);
			ret = ret > 0 || ret == -EINTR ? 0 : ret;
			if (ret)
				failure(error, ret, "event loop: %s", strerror(-ret));
		}
	return ret ? ret : collect(options, &load, requests, now() - start, figures, error);
}

/* One round of one of the ways. */
static int measure(const struct serve_bench_options *options, const struct session *session,
		   bool split, struct figures *figures, struct tandem_error *error)
{
	const struct tandem_scheduler_options scheduler_options = {
		.prefill = split ? session->prefill : session->decode,
		.decode = session->decode,
		.push = split ? session->push : NULL,
		.receive = split ? session->receive : NULL,
	};
	struct load_request *requests = calloc(options->batch, sizeof(*requests));
	uint32_t *prompts = calloc(options->batch * options->prompt, sizeof(*prompts));
	struct tandem_scheduler *scheduler = NULL;
	int ret = -ENOMEM;

	if (!requests || !prompts) {
		failure(error, ret, "out of memory");
		goto out;
	}
	for (unsigned long i = 0; i < options->batch; i++)
		requests[i].prompt = prompts + i * options->prompt;
	ret = tandem_scheduler_create(session->loop, &scheduler_options, &scheduler, error);
	if (!ret)
		ret = serve_all(options, session, scheduler, requests, figures, error);
	tandem_scheduler_destroy(scheduler);
out:
	free(prompts);
	free(requests);
	return ret;
}

static void add_conditions(struct bench_table *table, const struct serve_bench_options *options,
			   const struct session *session)
{
	struct tandem_model_info info;
	double load[1] = { 0 };

	tandem_model_get_info(session->model, &info);
	bench_table_condition(table, "model", info.name);
	bench_table_condition(table, "file", options->session.model);
	bench_table_condition_number(table, "parameters", (double)info.parameters);
	bench_table_condition(table, "prefill_device", session->prefill_info.name);
	bench_table_condition(table, "decode_device", session->decode_info.name);
	bench_table_condition(table, "transport",
			      tandem_transport_name(tandem_connection_transport(session->push)));
	bench_table_condition_number(table, "requests", (double)options->batch);
	bench_table_condition_number(table, "prompt_tokens", (double)options->prompt);
	bench_table_condition_number(table, "tokens", (double)options->tokens);
	bench_table_condition_number(table, "rounds", (double)options->rounds);
	if (getloadavg(load, 1) == 1)
		bench_table_condition_number(table, "load_before", load[0]);
}

/* What a round adds to the rows. */
struct samples {
	struct bench_samples decode, whole, first, shown;
};

static int measure_rounds(const struct serve_bench_options *options,
			  const struct session *session, struct samples *samples,
			  struct tandem_error *error)
{
	struct figures one, two;
	int ret;

	/* Once for nothing: memory is touched, caches are filled. */
	ret = measure(options, session, true, &two, error);
	for (unsigned long i = 0; i < options->rounds && !ret; i++) {
		/* Whoever is first may find the machine in another state. */
		if (i % 2)
			ret = measure(options, session, false, &one, error);
		if (!ret)
			ret = measure(options, session, true, &two, error);
		if (!ret && !(i % 2))
			ret = measure(options, session, false, &one, error);
		samples->decode.ours[i] = two.decode;
		samples->decode.peer[i] = one.decode;
		samples->whole.ours[i] = two.whole;
		samples->whole.peer[i] = one.whole;
		samples->first.ours[i] = two.first;
		samples->first.peer[i] = one.first;
		samples->shown.ours[i] = two.shown;
		samples->shown.peer[i] = 100;
	}
	samples->decode.count = samples->whole.count = options->rounds;
	samples->first.count = samples->shown.count = options->rounds;
	return ret;
}

static int bench(struct serve_bench_options *options, struct tandem_error *error)
{
	static const char one_device[] = "one device for both phases";
	struct samples *samples = calloc(1, sizeof(*samples));
	struct bench_table *table = bench_table_create();
	struct session session = { 0 };
	int ret = -ENOMEM;

	if (!samples || !table) {
		failure(error, ret, "out of memory");
		goto out;
	}
	options->session.instance.batch_max = (uint32_t)options->batch;
	options->session.instance.kv_tokens =
		(uint32_t)(options->batch * (options->prompt + options->tokens + 16));
	ret = session_open(&session, &options->session, error);
	if (ret)
		goto out;
	add_conditions(table, options, &session);
	ret = measure_rounds(options, &session, samples, error);
	if (ret)
		goto close;
	bench_table_add(table, "decode, all requests in it", "tokens/s", one_device, DECODE_AIM,
			&samples->decode);
	bench_table_add(table, "from the first prompt to the last token", "tokens/s", one_device, 0,
			&samples->whole);
	bench_table_add(table, "first tokens", "requests/s of waiting", one_device, 0,
			&samples->first);
	bench_table_add(table, "time to first token without the wait for the KV cache", "%",
			"no wait at all", EXPOSED_AIM, &samples->shown);
	if (bench_table_print(table, options->json))
		ret = failure(error, -EIO, "cannot write the results");
close:
	session_close(&session);
out:
	bench_table_destroy(table);
	free(samples);
	return ret;
}

enum serve_key {
	KEY_MODEL = 'm',
	KEY_JSON = 'j',
	KEY_ROUNDS = 'r',
	KEY_BATCH = 'b',
	KEY_PROMPT = 'p',
	KEY_TOKENS = 'n',
	KEY_PREFILL = 0x100,
	KEY_DECODE,
	KEY_TRANSPORT,
};

static const struct argp_option known[] = {
	{ "model", KEY_MODEL, "FILE", 0, "GGUF file; `tandem make-model` makes one", 0 },
	{ "batch", KEY_BATCH, "N", 0, "requests at once, 1 to 64 (default 8)", 0 },
	{ "prompt", KEY_PROMPT, "N", 0, "tokens of each prompt (default 64)", 0 },
	{ "tokens", KEY_TOKENS, "N", 0, "tokens that each request makes (default 64)", 0 },
	{ "prefill", KEY_PREFILL, "DEV", 0, "device that reads prompts (default: one that is there)",
	  0 },
	{ "decode", KEY_DECODE, "DEV", 0, "device that makes tokens, and is measured alone", 0 },
	{ "transport", KEY_TRANSPORT, "auto|local|verbs|tcp", 0,
	  "how the KV cache travels (default local)", 0 },
	{ "rounds", KEY_ROUNDS, "N", 0, "samples of each figure, 1 to 99 (default 3)", 0 },
	{ "json", KEY_JSON, NULL, 0, "as one JSON object", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct serve_bench_options *options = state->input;
	int transport;

	switch (key) {
	case KEY_MODEL:
		options->session.model = argument;
		return 0;
	case KEY_BATCH:
		options->batch = argument_number(state, "--batch", argument, 1, BATCH_MAX);
		return 0;
	case KEY_PROMPT:
		options->prompt = argument_number(state, "--prompt", argument, 1, 1 << 20);
		return 0;
	case KEY_TOKENS:
		options->tokens = argument_number(state, "--tokens", argument, 2, 1 << 20);
		return 0;
	case KEY_PREFILL:
		options->session.prefill = argument;
		return 0;
	case KEY_DECODE:
		options->session.decode = argument;
		return 0;
	case KEY_TRANSPORT:
		transport = tandem_transport_parse(argument);
		if (transport < 0)
			argp_error(state, "--transport: there is no '%s'; it is auto, local, verbs or tcp",
				   argument);
		options->session.connection.transport = (enum tandem_transport)transport;
		return 0;
	case KEY_ROUNDS:
		options->rounds = argument_number(state, "--rounds", argument, 1,
							 BENCH_ROUNDS_MAX);
		return 0;
	case KEY_JSON:
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not needed", argument);
		return 0;
	case ARGP_KEY_END:
		if (!options->session.model)
			argp_error(state, "--model is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int bench_serve(int argc, char **argv)
{
	static const struct argp argp = {
		.options = known,
		.parser = parse_option,
		.doc = "Measure what several requests at once get from two devices, one that reads prompts and one that makes tokens, beside what they get from the second one alone. More is better, and so is a higher ratio.",
	};
	struct serve_bench_options options = {
		.session = {
			.split = true,
			.connection = { .transport = TANDEM_TRANSPORT_LOCAL, .gid_index = -1 },
			.instance = { .kv_type = KV_TYPE_F16 },
		},
		.batch = 8,
		.prompt = 64,
		.tokens = 64,
		.rounds = 3,
	};
	struct tandem_error error = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return bench(&options, &error) ? failure_print(&error) : 0;
}
