// SPDX-License-Identifier: MIT
/*
 * tandem bench file: device memory to storage and back, beside fio with io_uring
 * on the same file, past the page cache, with as many requests under way.
 */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include <tandem/tandem.h>

#include "bench.h"
#include "arguments.h"
#include "bench_arguments.h"
#include "bench_program.h"
#include "bench_table.h"
#include "failure.h"

#define ROUNDS_DEFAULT	5
#define SECONDS_DEFAULT	2
#define MEGABYTES_DEFAULT	256
#define MEGABYTES_MAX	65536
#define MEGABYTE	(1ull << 20)
/* Of the scattered ones: the KV of 16 tokens and one layer of a mid-sized model. */
#define BLOCK_BYTES	(64ull << 10)
/* Requests that runtime/file.c has under way at a time, and their longest. */
#define DEPTH		"32"
#define SLICE		"1M"
#define OUTPUT_BYTES	(1 << 20)
#define AIM		0.95

struct file_options {
	const char *directory;
	const char *device;
	unsigned long megabytes;
	struct bench_arguments common;
};

/**
 * struct file_bench - what all measurements need
 * @path: the file, as long as @memory
 * @segments: the whole, in blocks, in an order that is not theirs
 * @segment_count: entries of @segments
 * @output: of fio
 */
struct file_bench {
	const struct file_options *options;
	struct tandem_error *error;
	struct bench_table *table;
	struct tandem_loop *loop;
	struct tandem_device *device;
	struct tandem_memory *memory;
	struct tandem_file *file;
	char path[4096];
	struct tandem_file_segment *segments;
	size_t segment_count;
	char *output;
};

/**
 * struct file_case - one thing to measure
 * @what: row
 * @writes: it writes
 * @scattered: in blocks, not as one piece
 * @fio: what fio calls it
 */
struct file_case {
	const char *what;
	bool writes;
	bool scattered;
	const char *fio;
};

/* Bytes a second, and bytes a second of processor time. */
struct file_pace {
	double rate;
	double rate_of_cpu;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

static double processor_time(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static int pass(struct file_bench *bench, const struct file_case *one)
{
	const struct tandem_file_segment whole = { 0, 0, bench->options->megabytes * MEGABYTE };
	const struct tandem_file_segment *segments = one->scattered ? bench->segments : &whole;
	size_t count = one->scattered ? bench->segment_count : 1;
	struct tandem_operation op = { 0 };
	int ret;

	ret = one->writes ?
		tandem_file_write_start(bench->file, bench->memory, segments, count, &op) :
		tandem_file_read_start(bench->file, bench->memory, segments, count, &op);
	return ret ? ret : tandem_loop_wait(bench->loop, &op, -1);
}

static int run_ours(struct file_bench *bench, const struct file_case *one, struct file_pace *pace)
{
	double begin = now(), spent = processor_time(), seconds;
	uint64_t bytes = 0;
	int ret;

	do {
		ret = pass(bench, one);
		if (ret)
			return failure(bench->error, ret, "%s: %s: %s", bench->path, one->what,
				       strerror(-ret));
		bytes += bench->options->megabytes * MEGABYTE;
		seconds = now() - begin;
	} while (seconds < bench->options->common.seconds);
	spent = processor_time() - spent;
	pace->rate = bytes / seconds;
	pace->rate_of_cpu = bytes / (spent > 0 ? spent : 1e-6);
	return 0;
}

/* What fio says of its one job. */
static bool parse_fio(const char *text, bool writes, struct file_pace *pace)
{
	json_t *root = json_loads(text, 0, NULL);
	json_t *job = json_array_get(json_object_get(root, "jobs"), 0);
	json_t *side = json_object_get(job, writes ? "write" : "read");
	double cpu = json_number_value(json_object_get(job, "usr_cpu")) +
		     json_number_value(json_object_get(job, "sys_cpu"));

	pace->rate = json_number_value(json_object_get(side, "bw_bytes"));
	pace->rate_of_cpu = cpu > 0 ? pace->rate / (cpu / 100) : 0;
	json_decref(root);
	return pace->rate > 0;
}

static bool run_fio(struct file_bench *bench, const struct file_case *one, struct file_pace *pace)
{
	char file[sizeof(bench->path) + 16], kind[32], block[32], size[32], seconds[32];
	char *argv[] = {
		"fio", "--name=peer", "--ioengine=io_uring", "--direct=1", "--iodepth=" DEPTH,
		"--time_based", "--output-format=json", "--scramble_buffers=0", "--randrepeat=1",
		"--norandommap", file, kind, block, size, seconds, NULL,
	};
	const char *json;

	snprintf(file, sizeof(file), "--filename=%s", bench->path);
	snprintf(kind, sizeof(kind), "--rw=%s", one->fio);
	if (one->scattered)
		snprintf(block, sizeof(block), "--bs=%llu", BLOCK_BYTES);
	else
		snprintf(block, sizeof(block), "--bs=" SLICE);
	snprintf(size, sizeof(size), "--size=%luM", bench->options->megabytes);
	snprintf(seconds, sizeof(seconds), "--runtime=%.0fms", bench->options->common.seconds * 1e3);
	if (bench_program_run(argv, bench->output, OUTPUT_BYTES))
		return false;
	/* Notes may come before it. */
	json = strchr(bench->output, '{');
	return json && parse_fio(json, one->writes, pace);
}

static int measure_case(struct file_bench *bench, const struct file_case *one)
{
	struct bench_samples rates = { .count = bench->options->common.rounds };
	struct bench_samples costs = { .count = bench->options->common.rounds };
	struct file_pace ours = { 0 }, peer = { 0 };
	char what[64];
	size_t i;
	int ret;

	for (i = 0; i < rates.count; i++) {
		ret = run_ours(bench, one, &ours);
		if (ret)
			return ret;
		if (!run_fio(bench, one, &peer)) {
			bench_table_skip(bench->table, one->what,
					 "fio does not run here; install the package fio");
			return 0;
		}
		rates.ours[i] = ours.rate / 1e9;
		rates.peer[i] = peer.rate / 1e9;
		costs.ours[i] = ours.rate_of_cpu / 1e9;
		costs.peer[i] = peer.rate_of_cpu / 1e9;
	}
	bench_table_add(bench->table, one->what, "GB/s", "fio", AIM, &rates);
	snprintf(what, sizeof(what), "%s, for CPU time", one->what);
	bench_table_add(bench->table, what, "GB/CPU s", "fio", 0, &costs);
	return 0;
}

static int measure(struct file_bench *bench)
{
	static const struct file_case cases[] = {
		{ "writes of one piece", true, false, "write" },
		{ "reads of one piece", false, false, "read" },
		{ "writes of scattered blocks of 64 KiB", true, true, "randwrite" },
		{ "reads of scattered blocks of 64 KiB", false, true, "randread" },
	};
	struct tandem_file_info info;
	size_t i;
	int ret;

	/* So that there is a whole file to begin with. */
	ret = pass(bench, &cases[0]);
	if (ret)
		return failure(bench->error, ret, "%s: cannot write it: %s", bench->path,
			       strerror(-ret));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ret = measure_case(bench, &cases[i]);
		if (ret)
			return ret;
	}
	ret = tandem_file_get_info(bench->file, &info);
	if (!ret)
		bench_table_condition(bench->table, "page_cache",
				      info.buffered_bytes ? "used" : "bypassed");
	return ret;
}

/* Blocks in an order in which no two neighbours follow each other. */
static int scatter(struct file_bench *bench)
{
	size_t count = bench->options->megabytes * MEGABYTE / BLOCK_BYTES;
	size_t half = count / 2;
	size_t i;

	bench->segments = calloc(count, sizeof(*bench->segments));
	if (!bench->segments)
		return failure(bench->error, -ENOMEM, "out of memory");
	bench->segment_count = count;
	for (i = 0; i < count; i++) {
		uint64_t at = (i % 2 ? half + i / 2 : i / 2) * BLOCK_BYTES;

		bench->segments[i] = (struct tandem_file_segment){ at, at, BLOCK_BYTES };
	}
	return 0;
}

static void add_conditions(struct file_bench *bench)
{
	bench_table_condition(bench->table, "device", bench->options->device);
	bench_table_condition(bench->table, "directory", bench->options->directory);
	bench_table_condition_number(bench->table, "file_megabytes", bench->options->megabytes);
	bench_table_condition_number(bench->table, "rounds", bench->options->common.rounds);
	bench_table_condition_number(bench->table, "seconds_a_sample", bench->options->common.seconds);
	bench_table_condition(bench->table, "requests_under_way", DEPTH);
}

static int bench_open(struct file_bench *bench)
{
	const struct file_options *options = bench->options;
	int ret;

	snprintf(bench->path, sizeof(bench->path), "%s/tandem-bench.%d", options->directory,
		 (int)getpid());
	ret = tandem_loop_create(&bench->loop, bench->error);
	if (!ret)
		ret = tandem_device_open(bench->loop, options->device, &bench->device,
					 bench->error);
	if (!ret)
		ret = tandem_memory_alloc(bench->device, options->megabytes * MEGABYTE,
					  &bench->memory, bench->error);
	if (!ret)
		ret = tandem_file_open(bench->loop, bench->path,
				       TANDEM_FILE_WRITE | TANDEM_FILE_CREATE, 0, &bench->file,
				       bench->error);
	return ret ? ret : scatter(bench);
}

static void bench_close(struct file_bench *bench)
{
	if (bench->file)
		unlink(bench->path);
	tandem_file_close(bench->file);
	tandem_memory_free(bench->memory);
	tandem_device_close(bench->device);
	tandem_loop_destroy(bench->loop);
	bench_table_destroy(bench->table);
	free(bench->segments);
	free(bench->output);
}

static int bench(const struct file_options *options, struct tandem_error *error)
{
	struct file_bench bench = { .options = options, .error = error };
	void *pointer;
	int ret;

	bench.table = bench_table_create();
	bench.output = malloc(OUTPUT_BYTES);
	ret = bench.table && bench.output ? bench_open(&bench) :
					    failure(error, -ENOMEM, "out of memory");
	if (!ret)
		ret = tandem_memory_map(bench.memory, &pointer);
	if (!ret) {
		/* Written, so that it is memory and not the page of zeros. */
		memset(pointer, 0x5a, options->megabytes * MEGABYTE);
		add_conditions(&bench);
		ret = measure(&bench);
	}
	if (!ret && bench_table_print(bench.table, options->common.json))
		ret = failure(error, -EIO, "cannot write the results");
	bench_close(&bench);
	return ret;
}

enum file_key {
	KEY_DEVICE = 'd',
	KEY_DIRECTORY = 'D',
	KEY_MEGABYTES = 'm',
};

static const struct argp_option known[] = {
	{ "device", KEY_DEVICE, "DEV", 0, "whose memory (default inproc:host)", 0 },
	{ "directory", KEY_DIRECTORY, "DIR", 0, "where to put the file (default /var/tmp)", 0 },
	{ "megabytes", KEY_MEGABYTES, "N", 0, "size of the file in MiB (default 256)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct file_options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_DEVICE:
		options->device = argument;
		return 0;
	case KEY_DIRECTORY:
		options->directory = argument;
		return 0;
	case KEY_MEGABYTES:
		options->megabytes = argument_number(state, "--megabytes", argument, 1,
							    MEGABYTES_MAX);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not needed", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int bench_file(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &bench_arguments_argp },
		{ 0 },
	};
	static const struct argp argp = {
		.options = known,
		.parser = parse_option,
		.children = children,
		.doc = "Measure how fast device memory is written to a file and read back, as one piece and in scattered blocks, beside fio with io_uring on the same file. More is better, and so is a higher ratio. By default, each figure has 5 samples of 2 seconds.",
	};
	struct file_options options = {
		.directory = "/var/tmp",
		.device = "inproc:host",
		.megabytes = MEGABYTES_DEFAULT,
		.common = { .rounds = ROUNDS_DEFAULT, .seconds = SECONDS_DEFAULT },
	};
	struct tandem_error error = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return bench(&options, &error) ? failure_print(&error) : 0;
}
