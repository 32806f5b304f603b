// SPDX-License-Identifier: MIT
/*
 * tandem bench driver: what the driver adds to a command, and to a copy.
 *
 * Each figure stands beside one of the same round: a command beside a NOP of
 * io_uring's on the same ring, a copy beside what the device itself needed for
 * it, which for an emulated one is a memcpy() of the firmware's process.
 */
#include <argp.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_accel.h"
#include "bench_arguments.h"
#include "bench_table.h"
#include "failure.h"

#define ROUNDS_DEFAULT	5
#define SECONDS_DEFAULT	0.2
/* Commands of the first try, from which the number for a sample is told. */
#define TRY_COUNT	4
/* Bytes of each of the two regions, and the longest copy. */
#define REGION_BYTES	(16ull << 20)

struct driver_options {
	const char *device;
	struct bench_arguments common;
};

/**
 * struct driver_bench - what all measurements need
 * @accel: the device
 * @ring: without, and
 * @polled: with a submission thread; @has_polled
 * @destination: region of %REGION_BYTES
 * @source: another
 * @user: as many bytes of this process
 */
struct driver_bench {
	struct bench_accel accel;
	struct io_uring ring;
	struct io_uring polled;
	bool has_polled;
	uint32_t destination;
	uint32_t source;
	void *user;
	const struct driver_options *options;
	struct bench_table *table;
	struct tandem_error *error;
};

/**
 * struct way - how work is submitted
 * @ring: which ring, or NULL for the ioctl
 * @depth: commands under way
 */
struct way {
	struct io_uring *ring;
	unsigned int depth;
};

static const struct bench_work nop = { .op = TANDEM_URING_NOP };
/* io_uring's own. */
static const struct bench_work ring_nop;

static int run(struct driver_bench *bench, const struct way *way, const struct bench_work *work,
	       uint64_t count, struct bench_pace *pace)
{
	if (!way->ring)
		return bench_ioctl_run(&bench->accel, work, count, pace, bench->error);
	return bench_ring_run(&bench->accel, way->ring, work, way->depth, count, pace,
			      bench->error);
}

/* One sample, of about the time that the options say. */
static int sample(struct driver_bench *bench, const struct way *way,
		  const struct bench_work *work, struct bench_pace *pace)
{
	uint64_t count = TRY_COUNT;
	int ret;

	/* Until it lasts long enough to tell from: the first ones warm up. */
	for (;;) {
		ret = run(bench, way, work, count, pace);
		if (ret || pace->seconds > bench->options->common.seconds / 8)
			break;
		count *= 4;
	}
	if (ret || pace->seconds >= bench->options->common.seconds)
		return ret;
	count = (uint64_t)((double)count * bench->options->common.seconds / pace->seconds);
	return run(bench, way, work, count, pace);
}

static double rate(const struct bench_pace *pace)
{
	return (double)pace->count / pace->seconds;
}

/* Commands a second, @way against NOPs of io_uring's @peer. */
static int measure_rate(struct driver_bench *bench, const char *what, const struct way *way,
			const struct way *peer)
{
	struct bench_samples samples = { .count = bench->options->common.rounds };
	struct bench_pace pace;
	int ret;

	for (size_t i = 0; i < samples.count; i++) {
		ret = sample(bench, way, &nop, &pace);
		if (ret)
			return ret;
		samples.ours[i] = rate(&pace);
		ret = sample(bench, peer, &ring_nop, &pace);
		if (ret)
			return ret;
		samples.peer[i] = rate(&pace);
	}
	bench_table_add(bench->table, what, "commands/s", "io_uring NOP", 0, &samples);
	return 0;
}

static int measure_submission(struct driver_bench *bench)
{
	const struct way plain = { &bench->ring, 1 }, polled = { &bench->polled, 1 };
	const struct way by_ioctl = { NULL, 1 };
	int ret;

	ret = measure_rate(bench, "round trips, uring_cmd", &plain, &plain);
	if (ret)
		return ret;
	if (bench->has_polled)
		ret = measure_rate(bench, "round trips, uring_cmd under SQPOLL", &polled, &polled);
	else
		bench_table_skip(bench->table, "round trips, uring_cmd under SQPOLL",
				 "the kernel makes no SQPOLL ring");
	if (ret)
		return ret;
	if (bench_accel_param(&bench->accel, TANDEM_PARAM_CAPABILITIES) &
	    TANDEM_CAPABILITY_SUBMIT)
		return measure_rate(bench, "round trips, ioctl", &by_ioctl, &plain);
	bench_table_skip(bench->table, "round trips, ioctl", "the driver has no SUBMIT");
	return 0;
}

static int measure_depths(struct driver_bench *bench)
{
	struct way way = { .ring = &bench->ring };
	char what[64];
	int ret;

	for (way.depth = 2; way.depth <= BENCH_DEPTH_MAX; way.depth *= 2) {
		snprintf(what, sizeof(what), "%u uring_cmd in flight", way.depth);
		ret = measure_rate(bench, what, &way, &way);
		if (ret)
			return ret;
	}
	return 0;
}

/* Context switches of the whole machine since it was started; negative if unknown. */
static double context_switches(void)
{
	FILE *file = fopen("/proc/stat", "r");
	double count = -1;
	char line[4096];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "ctxt %lf", &count) == 1)
			break;
	if (file)
		fclose(file);
	return count;
}

/*
 * Of the whole machine, since workers of the kernel count, too: so other
 * programs that run meanwhile make it look worse.
 */
static int measure_switches(struct driver_bench *bench, const char *what, const struct way *way)
{
	struct bench_samples samples = { .count = bench->options->common.rounds };
	struct bench_pace pace;
	double before, after;
	int ret;

	for (size_t i = 0; i < samples.count; i++) {
		ret = sample(bench, way, &nop, &pace);
		if (ret)
			return ret;
		before = context_switches();
		ret = run(bench, way, &nop, pace.count, &pace);
		after = context_switches();
		if (ret)
			return ret;
		if (before < 0 || after <= before) {
			bench_table_skip(bench->table, what, "/proc/stat does not tell");
			return 0;
		}
		samples.ours[i] = (double)pace.count / (after - before);
		samples.peer[i] = 0.5;
	}
	bench_table_add(bench->table, what, "commands/switch", "two a command", 1, &samples);
	return 0;
}

static int measure_all_switches(struct driver_bench *bench)
{
	const struct way one = { &bench->ring, 1 }, many = { &bench->ring, BENCH_DEPTH_MAX };
	char what[64];
	int ret;

	ret = measure_switches(bench, "context switches, one in flight", &one);
	if (ret)
		return ret;
	snprintf(what, sizeof(what), "context switches, %u in flight", many.depth);
	return measure_switches(bench, what, &many);
}

static int measure_copy(struct driver_bench *bench, const char *what,
			const struct bench_work *work)
{
	/* Enough under way that the device need not wait. */
	const struct way way = { &bench->ring, 4 };
	struct bench_samples samples = { .count = bench->options->common.rounds };
	struct bench_pace pace;
	double gigabytes;
	int ret;

	for (size_t i = 0; i < samples.count; i++) {
		ret = sample(bench, &way, work, &pace);
		if (ret)
			return ret;
		gigabytes = (double)pace.count * (double)work->command.length / 1e9;
		samples.ours[i] = gigabytes / pace.seconds;
		samples.peer[i] = gigabytes / pace.device_seconds;
	}
	bench_table_add(bench->table, what, "GB/s", "the device alone", 0, &samples);
	return 0;
}

static const struct {
	const char *name;
	uint64_t bytes;
} sizes[] = {
	{ "4 KiB", 4096 },
	{ "64 KiB", 65536 },
	{ "1 MiB", 1 << 20 },
	{ "16 MiB", 16 << 20 },
};

static int measure_copies(struct driver_bench *bench)
{
	struct bench_work work = { .op = TANDEM_URING_COPY };
	struct tandem_uring_command *command = &work.command;
	char what[64];
	int ret;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		*command = (struct tandem_uring_command){
			.dst_region = bench->destination,
			.src_region = bench->source,
			.length = sizes[i].bytes,
		};
		snprintf(what, sizeof(what), "copies of %s in device memory", sizes[i].name);
		ret = measure_copy(bench, what, &work);
		if (ret)
			return ret;
		command->src_region = TANDEM_REGION_USER;
		command->src_offset = (uintptr_t)bench->user;
		snprintf(what, sizeof(what), "copies of %s to the device", sizes[i].name);
		ret = measure_copy(bench, what, &work);
		if (ret)
			return ret;
	}
	return 0;
}

static void add_conditions(struct driver_bench *bench)
{
	static const char *const names[] = { "profile", "firmware_version" };
	const struct driver_options *options = bench->options;
	char path[128], value[64];
	FILE *file;

	bench_table_condition(bench->table, "device", options->device);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/sys/class/accel/%.32s/device/%s", options->device,
			 names[i]);
		file = fopen(path, "r");
		if (file && fgets(value, sizeof(value), file)) {
			value[strcspn(value, "\n")] = '\0';
			bench_table_condition(bench->table, names[i], value);
		}
		if (file)
			fclose(file);
	}
	bench_table_condition_number(bench->table, "rounds", (double)options->common.rounds);
	bench_table_condition_number(bench->table, "seconds_a_sample", options->common.seconds);
}

static int measure(struct driver_bench *bench)
{
	int ret;

	ret = bench_accel_region(&bench->accel, REGION_BYTES, &bench->destination, bench->error);
	if (!ret)
		ret = bench_accel_region(&bench->accel, REGION_BYTES, &bench->source,
					 bench->error);
	if (!ret)
		ret = measure_submission(bench);
	if (!ret)
		ret = measure_depths(bench);
	if (!ret)
		ret = measure_all_switches(bench);
	if (!ret)
		ret = measure_copies(bench);
	return ret;
}

static int bench(const struct driver_options *options, struct tandem_error *error)
{
	struct driver_bench bench = { .options = options, .error = error };
	int ret;

	ret = bench_accel_open(&bench.accel, options->device, error);
	if (ret)
		return ret;
	ret = bench_ring_open(&bench.ring, false, error);
	if (ret)
		goto close;
	bench.has_polled = !bench_ring_open(&bench.polled, true, error);
	bench.user = aligned_alloc(4096, REGION_BYTES);
	bench.table = bench_table_create();
	if (!bench.user || !bench.table) {
		ret = failure(error, -ENOMEM, "out of memory");
		goto free;
	}
	/* Written, so that it is memory and not the page of zeros. */
	memset(bench.user, 0x5a, REGION_BYTES);
	add_conditions(&bench);
	ret = measure(&bench);
	if (!ret && bench_table_print(bench.table, options->common.json))
		ret = failure(error, -EIO, "cannot write the results");
free:
	bench_table_destroy(bench.table);
	free(bench.user);
	if (bench.has_polled)
		io_uring_queue_exit(&bench.polled);
	io_uring_queue_exit(&bench.ring);
close:
	bench_accel_close(&bench.accel);
	return ret;
}

#define KEY_DEVICE	'd'

static const struct argp_option known[] = {
	{ "device", KEY_DEVICE, "accelN", 0, "which device (default accel0)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct driver_options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_DEVICE:
		if (strncmp(argument, "accel", 5) || strchr(argument, '/'))
			argp_error(state, "--device: '%s' is not accel0, accel1, …", argument);
		options->device = argument;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not needed", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int bench_driver(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &bench_arguments_argp },
		{ 0 },
	};
	static const struct argp argp = {
		.options = known,
		.parser = parse_option,
		.children = children,
		.doc = "Measure what a command costs on an accel device, by io_uring, under SQPOLL and by ioctl, beside a NOP of io_uring's on the same ring; and copies beside what the device alone needed. More is better, and so is a higher ratio. By default, each figure has 5 samples of 0.2 seconds.",
	};
	struct driver_options options = {
		.device = "accel0",
		.common = { .rounds = ROUNDS_DEFAULT, .seconds = SECONDS_DEFAULT },
	};
	struct tandem_error error = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return bench(&options, &error) ? failure_print(&error) : 0;
}
