// SPDX-License-Identifier: MIT
/*
 * tandem bench model: tokens a second of a device on threads of this process.
 *
 * Each figure stands beside what the machine can do at most, and, where it is
 * installed, beside llama.cpp's, measured in the same round on the same file.
 */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tandem/tandem.h>

#include "bench.h"
#include "arguments.h"
#include "bench_arguments.h"
#include "bench_peak.h"
#include "bench_peer.h"
#include "bench_table.h"
#include "failure.h"

#define ROUNDS_DEFAULT	3
#define PROMPT_MAX	2048
#define BATCH_MAX	32
#define ROWS_MAX	512
/* Tokens that each sequence makes in a sample of decode. */
#define DECODE_TOKENS	64
#define THREADS_MAX	2
#define KV_TYPE_F16	1

struct model_options {
	const char *model;
	const char *root;
	unsigned long rounds;
	unsigned long threads;
	bool json;
};

/**
 * struct model_bench - what all measurements need
 * @threads: of the present device
 * @weight_bytes: that a decode step reads
 * @token_flops: of one token, attention left out
 * @peak_read: bytes a second
 * @peak_flops: a second
 */
struct model_bench {
	const struct model_options *options;
	struct tandem_error *error;
	struct bench_table *table;
	struct bench_peer peer;
	bool has_peer;
	struct tandem_loop *loop;
	struct tandem_model *model;
	struct tandem_model_info info;
	struct tandem_device *device;
	struct tandem_instance *instance;
	unsigned int threads;
	double weight_bytes, token_flops;
	double peak_read, peak_flops;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int finish(struct model_bench *bench, int ret, struct tandem_operation *op)
{
	if (!ret)
		ret = tandem_loop_wait(bench->loop, op, -1);
	if (!ret)
		ret = op->result;
	return ret < 0 ? failure(bench->error, ret, "the device: %s", strerror(-ret)) : 0;
}

/* Read a prompt of @tokens tokens, in pieces as generation does. */
static int prefill(struct model_bench *bench, struct tandem_kv_sequence *sequence,
		   unsigned int tokens)
{
	uint32_t token[ROWS_MAX];
	int ret = tandem_kv_sequence_reserve(sequence, tokens);

	if (ret)
		return failure(bench->error, ret, "KV pool: %s", strerror(-ret));
	for (uint32_t at = 0; at < tokens && !ret; at += ROWS_MAX) {
		uint32_t rows = tokens - at < ROWS_MAX ? tokens - at : ROWS_MAX;
		struct tandem_forward forward = {
			.sequence = sequence, .tokens = token, .position = at, .rows = rows,
			.layer_count = bench->info.layers, .output = at + rows == tokens,
		};
		struct tandem_operation op = { 0 };

		for (uint32_t i = 0; i < rows; i++)
			token[i] = (at + i) * 7919 % bench->info.vocabulary;
		ret = finish(bench, tandem_forward_start(bench->instance, &forward, &op), &op);
	}
	return ret;
}

static int measure_prefill(struct model_bench *bench, unsigned int tokens, double *rate)
{
	struct tandem_kv_sequence sequence;
	double start;
	int ret;

	tandem_kv_sequence_init(&sequence, tandem_instance_kv_pool(bench->instance));
	start = now();
	ret = prefill(bench, &sequence, tokens);
	*rate = tokens / (now() - start);
	tandem_kv_sequence_release(&sequence);
	return ret;
}

/* @batch sequences make DECODE_TOKENS tokens each, from nothing. */
static int measure_decode(struct model_bench *bench, unsigned int batch, double *rate)
{
	struct tandem_kv_sequence sequence[BATCH_MAX];
	struct tandem_step_row rows[BATCH_MAX];
	const struct tandem_step step = { .rows = rows, .count = batch };
	double start;
	int ret = 0;

	for (unsigned int i = 0; i < batch; i++) {
		tandem_kv_sequence_init(&sequence[i], tandem_instance_kv_pool(bench->instance));
		rows[i] = (struct tandem_step_row){ .sequence = &sequence[i], .token = i + 1 };
		if (!ret)
			ret = tandem_kv_sequence_reserve(&sequence[i], DECODE_TOKENS);
	}
	start = now();
	for (unsigned int t = 0; t < DECODE_TOKENS && !ret; t++) {
		struct tandem_operation op = { 0 };

		ret = finish(bench, tandem_step_start(bench->instance, &step, &op), &op);
		for (unsigned int i = 0; i < batch && !ret; i++) {
			rows[i].token = tandem_step_token(bench->instance, i);
			rows[i].position++;
		}
	}
	*rate = batch * DECODE_TOKENS / (now() - start);
	for (unsigned int i = 0; i < batch; i++)
		tandem_kv_sequence_release(&sequence[i]);
	return ret;
}

/**
 * struct figure - one thing to measure
 * @tokens: of a prompt; 0 for decode
 * @batch: sequences that decode together
 */
struct figure {
	unsigned int tokens;
	unsigned int batch;
};

/* Both sides of one figure, @rounds times by turns. */
static int measure_figure(struct model_bench *bench, const struct figure *figure)
{
	struct bench_samples to_peer = { .count = bench->options->rounds };
	struct bench_samples to_peak = { .count = bench->options->rounds };
	char what[80], of_peak[96];
	const char *peer_name = "llama.cpp";
	bool peer = bench->has_peer;
	double rate;
	int ret;

	for (size_t i = 0; i < to_peer.count; i++) {
		ret = figure->tokens ? measure_prefill(bench, figure->tokens, &rate) :
				       measure_decode(bench, figure->batch, &rate);
		if (ret)
			return ret;
		to_peer.ours[i] = rate;
		if (figure->tokens) {
			to_peak.ours[i] = rate * bench->token_flops / 1e9;
			to_peak.peer[i] = bench->peak_flops / 1e9;
		} else {
			to_peak.ours[i] = rate / figure->batch * bench->weight_bytes / 1e9;
			to_peak.peer[i] = bench->peak_read / 1e9;
		}
		if (!peer)
			continue;
		if (figure->tokens || figure->batch == 1) {
			to_peer.peer[i] = bench_peer_rate(&bench->peer, bench->threads,
							  figure->tokens, 0,
							  figure->tokens ? 0 : DECODE_TOKENS);
		} else {
			/* It measures no batches of sequences: a prompt, as many at a time. */
			peer_name = "llama.cpp, a prompt in pieces of the batch's size";
			to_peer.peer[i] = bench_peer_rate(&bench->peer, bench->threads, 256,
							  figure->batch, 0);
		}
		peer = to_peer.peer[i] > 0;
	}
	if (figure->tokens)
		snprintf(what, sizeof(what), "prefill of %u, %u thread%s", figure->tokens,
			 bench->threads, bench->threads > 1 ? "s" : "");
	else
		snprintf(what, sizeof(what), "decode of a batch of %u, %u thread%s", figure->batch,
			 bench->threads, bench->threads > 1 ? "s" : "");
	if (peer) {
		bench_table_add(bench->table, what, "tokens/s", peer_name, 0, &to_peer);
	} else {
		for (size_t i = 0; i < to_peer.count; i++)
			to_peer.peer[i] = to_peer.ours[i];
		bench_table_add(bench->table, what, "tokens/s", "itself", 0, &to_peer);
	}
	snprintf(of_peak, sizeof(of_peak), "%s: of the peak", what);
	bench_table_add(bench->table, of_peak, figure->tokens ? "GFLOP/s" : "GB/s of weights",
			figure->tokens ? "multiply-adds in registers" : "a streaming read", 0,
			&to_peak);
	return 0;
}

static const struct figure figures[] = {
	{ .tokens = 128 }, { .tokens = 512 }, { .tokens = PROMPT_MAX },
	{ .batch = 1 }, { .batch = 8 }, { .batch = BATCH_MAX },
};

/* All figures with a number of threads. */
static int measure_threads(struct model_bench *bench)
{
	const struct tandem_instance_options options = {
		.kv_type = KV_TYPE_F16,
		.kv_tokens = PROMPT_MAX,
		.rows_max = ROWS_MAX,
		.batch_max = BATCH_MAX,
	};
	char name[64];
	double warm;
	int ret;

	bench->peak_read = bench_peak_read(bench->threads);
	bench->peak_flops = bench_peak_flops(bench->threads);
	if (!bench->peak_read || !bench->peak_flops)
		return failure(bench->error, -EIO, "the machine's peaks cannot be measured");
	snprintf(name, sizeof(name), "inproc:host,cores=%u", bench->threads);
	ret = tandem_device_open(bench->loop, name, &bench->device, bench->error);
	if (!ret)
		ret = tandem_instance_create(bench->loop, bench->device, bench->model, &options,
					     &bench->instance, bench->error);
	if (!ret)
		ret = measure_prefill(bench, 16, &warm);
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]) && !ret; i++) {
		if (figures[i].tokens <= bench->info.context)
			ret = measure_figure(bench, &figures[i]);
	}
	tandem_instance_destroy(bench->instance);
	tandem_device_close(bench->device);
	bench->instance = NULL;
	bench->device = NULL;
	return ret;
}

static void add_conditions(struct model_bench *bench)
{
	double load[1] = { 0 };

	bench_table_condition(bench->table, "model", bench->info.name);
	bench_table_condition(bench->table, "file", bench->options->model);
	bench_table_condition_number(bench->table, "parameters", (double)bench->info.parameters);
	bench_table_condition_number(bench->table, "weight_bytes",
				     (double)bench->info.weight_bytes);
	bench_table_condition_number(bench->table, "decode_tokens", DECODE_TOKENS);
	bench_table_condition_number(bench->table, "rounds", (double)bench->options->rounds);
	if (getloadavg(load, 1) == 1)
		bench_table_condition_number(bench->table, "load_before", load[0]);
}

static int measure(struct model_bench *bench)
{
	const struct tandem_model_info *info = &bench->info;
	double embedding = (double)info->vocabulary * info->dim;
	int ret;

	ret = tandem_loop_create(&bench->loop, bench->error);
	if (!ret)
		ret = tandem_model_load(bench->options->model, &bench->model, bench->error);
	if (ret)
		return ret;
	tandem_model_get_info(bench->model, &bench->info);
	/* Of the embedding a token reads one row only; it is all of it where it is tied. */
	bench->weight_bytes = (double)info->weight_bytes;
	embedding = (double)info->vocabulary * info->dim;
	if ((double)info->parameters > 2 * embedding)
		bench->weight_bytes *= 1 - embedding / (double)info->parameters;
	/* Of a prompt only the last token goes through the output matrix. */
	bench->token_flops = 2 * ((double)info->parameters - 2 * embedding);
	if (bench->token_flops <= 0)
		bench->token_flops = 2 * ((double)info->parameters - embedding);
	add_conditions(bench);
	bench->has_peer = bench_peer_open(&bench->peer, bench->options->root,
					  bench->options->model);
	if (!bench->has_peer)
		bench_table_skip(bench->table, "llama.cpp",
				 "no llama-bench in the root directory that --peer names");
	for (bench->threads = 1; bench->threads <= bench->options->threads && !ret;
	     bench->threads++)
		ret = measure_threads(bench);
	if (bench->has_peer)
		bench_peer_close(&bench->peer);
	return ret;
}

static int bench(const struct model_options *options, struct tandem_error *error)
{
	struct model_bench bench = { .options = options, .error = error };
	int ret;

	bench.table = bench_table_create();
	if (!bench.table)
		return failure(error, -ENOMEM, "out of memory");
	ret = measure(&bench);
	if (!ret && bench_table_print(bench.table, options->json))
		ret = failure(error, -EIO, "cannot write the results");
	bench_table_destroy(bench.table);
	tandem_model_free(bench.model);
	tandem_loop_destroy(bench.loop);
	return ret;
}

enum model_key {
	KEY_MODEL = 'm',
	KEY_JSON = 'j',
	KEY_ROUNDS = 'r',
	KEY_PEER = 'p',
	KEY_THREADS = 't',
};

static const struct argp_option known[] = {
	{ "model", KEY_MODEL, "FILE", 0, "GGUF file; `tandem make-model` makes one", 0 },
	{ "rounds", KEY_ROUNDS, "N", 0, "samples of each figure, 1 to 99 (default 3)", 0 },
	{ "threads", KEY_THREADS, "N", 0, "up to how many, 1 or 2 (default 2)", 0 },
	{ "peer", KEY_PEER, "DIR", 0,
	  "root directory with llama-bench in it (default ~/.cache/tandem/sid); only for root",
	  0 },
	{ "json", KEY_JSON, NULL, 0, "as one JSON object", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct model_options *options = state->input;

	switch (key) {
	case KEY_MODEL:
		options->model = argument;
		return 0;
	case KEY_JSON:
		options->json = true;
		return 0;
	case KEY_ROUNDS:
		options->rounds = argument_number(state, "--rounds", argument, 1,
							 BENCH_ROUNDS_MAX);
		return 0;
	case KEY_THREADS:
		options->threads = argument_number(state, "--threads", argument, 1,
							  THREADS_MAX);
		return 0;
	case KEY_PEER:
		options->root = argument;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not needed", argument);
		return 0;
	case ARGP_KEY_END:
		if (!options->model)
			argp_error(state, "--model is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int bench_model(int argc, char **argv)
{
	static const struct argp argp = {
		.options = known,
		.parser = parse_option,
		.doc = "Measure tokens a second of prefill and decode on a device of this process, beside llama.cpp and the machine's peaks: a streaming read for decode, multiply-adds in registers for prefill. More is better, and so is a higher ratio.",
	};
	struct model_options options = {
		.rounds = ROUNDS_DEFAULT,
		.threads = THREADS_MAX,
	};
	const char *home = getenv("HOME");
	struct tandem_error error = { 0 };
	char root[4096];

	snprintf(root, sizeof(root), "%.4000s/.cache/tandem/sid", home ? home : "");
	options.root = root;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return bench(&options, &error) ? failure_print(&error) : 0;
}
