// SPDX-License-Identifier: MIT
/*
 * tandem bench xfer: how fast KV blocks travel, and what that costs.
 *
 * Each figure stands beside one of the same round: local beside a memcpy() of one
 * core and UCX over shared memory, tcp beside a bare io_uring stream between two
 * threads and UCX over tcp, verbs beside perftest; and for each transport, small
 * blocks beside large ones, scattered beside neighbouring ones, pulls beside pushes.
 * What was pushed or pulled is compared after each row.
 */
#include <argp.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "arguments.h"
#include "bench_arguments.h"
#include "bench_table.h"
#include "bench_xfer_latency.h"
#include "bench_xfer_pair.h"
#include "bench_xfer_peer.h"
#include "bench_xfer_stream.h"
#include "failure.h"
#include "reasons.h"
#include "transfers.h"

#define ROUNDS_DEFAULT	5
#define SECONDS_DEFAULT	0.5
#define BLOCKS_DEFAULT	16384
#define BLOCK_KIB	8u
/* Blocks that the same bytes are in for comparison. */
#define LARGE_KIB	8192u
#define SLICE_BYTES	(1ull << 20)
#define STREAMS_DEFAULT	2u
#define GIGA		1e9
/* How long a pair's receiver waits while something else is measured. */
#define IDLE_MS		3600000u
/* Puts of all bytes in a sample of UCX: so many that its start hardly counts. */
#define UCX_MESSAGES	32u
/* Fewer are none for ib_write_bw. */
#define PERFTEST_MIN	5u
/* To and fro. */
#define MESSAGE_BYTES	8u
#define MESSAGES	1000u

struct xfer_options {
	const char *device[2];
	const char *transport;
	const char *rdma_device;
	unsigned long blocks;
	unsigned long streams;
	unsigned long rdma_pairs;
	long busy_poll_us;
	struct bench_arguments common;
};

/**
 * struct xfer_bench - what all measurements of a transport need
 * @options: of the command line
 * @table: for results
 * @name: of the transport
 * @small: pair with blocks of %BLOCK_KIB
 * @large: pair with as many bytes, in blocks of up to %LARGE_KIB
 * @bytes: of a pool
 * @message_bytes: for a peer that sends them one by one
 * @in_order: numbers of blocks
 * @scattered: the same, shuffled
 * @reversed: some of the same, the last first: no two neighbours stay neighbours
 * @error: filled in on failure
 */
struct xfer_bench {
	const struct xfer_options *options;
	struct bench_table *table;
	const char *name;
	struct bench_pair small;
	struct bench_pair large;
	uint64_t bytes;
	uint64_t message_bytes;
	uint32_t *in_order;
	uint32_t *scattered;
	uint32_t *reversed;
	struct tandem_error *error;
};

/**
 * struct xfer_pace - what a sample found
 * @rate: gigabytes per second
 * @economy: gigabytes per second of processor time, of the whole process
 * @posting: blocks per second of starting the push or pull; 0 for a peer
 */
struct xfer_pace {
	double rate;
	double economy;
	double posting;
};

static double processor_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / GIGA;
}

/*
 * Samples: something is done over and over for about the time that the options
 * say, and at least once.
 */

/* bench_pair_push() or bench_pair_pull() */
typedef int (*transfer_fn)(struct bench_pair *pair, const uint32_t *local, const uint32_t *remote,
			   double *posting, struct tandem_error *error);

static int sample_transfer(struct xfer_bench *bench, struct bench_pair *pair, transfer_fn transfer,
			   const uint32_t *remote, struct xfer_pace *pace)
{
	const double began = bench_now(), used = processor_time();
	double seconds, posting, posting_all = 0, count = 0;
	int ret;

	do {
		ret = transfer(pair, bench->in_order, remote, &posting, bench->error);
		if (ret)
			return ret;
		posting_all += posting;
		count++;
		seconds = bench_now() - began;
	} while (seconds < bench->options->common.seconds);
	pace->rate = count * (double)bench->bytes / seconds / GIGA;
	pace->economy = count * (double)bench->bytes / (processor_time() - used) / GIGA;
	pace->posting = count * pair->options.blocks / posting_all;
	return 0;
}

static int sample_push(struct xfer_bench *bench, struct bench_pair *pair, const uint32_t *remote,
		       struct xfer_pace *pace)
{
	return sample_transfer(bench, pair, bench_pair_push, remote, pace);
}

static int sample_large_push(struct xfer_bench *bench, struct xfer_pace *pace)
{
	return sample_push(bench, &bench->large, bench->in_order, pace);
}

static int sample_copy(struct xfer_bench *bench, struct xfer_pace *pace)
{
	const double began = bench_now(), used = processor_time();
	double seconds, count = 0;

	do {
		memcpy(bench->small.memory[1], bench->small.memory[0], bench->bytes);
		/* The compiler may not see that nobody reads it. */
		__asm__ volatile("" : : "r"(bench->small.memory[1]) : "memory");
		count++;
		seconds = bench_now() - began;
	} while (seconds < bench->options->common.seconds);
	pace->rate = count * (double)bench->bytes / seconds / GIGA;
	pace->economy = count * (double)bench->bytes / (processor_time() - used) / GIGA;
	return 0;
}

static int sample_stream(struct xfer_bench *bench, struct xfer_pace *pace)
{
	const struct bench_stream stream = {
		.source = bench->small.memory[0],
		.destination = bench->small.memory[1],
		.bytes = bench->bytes,
		.slice = SLICE_BYTES,
		.streams = (unsigned int)bench->options->streams,
	};
	double seconds = 0, once, count = 0, used = processor_time();
	int ret;

	do {
		ret = bench_stream_run(&stream, &once, bench->error);
		if (ret)
			return ret;
		seconds += once;
		count++;
	} while (seconds < bench->options->common.seconds);
	pace->rate = count * (double)bench->bytes / seconds / GIGA;
	pace->economy = count * (double)bench->bytes / (processor_time() - used) / GIGA;
	return 0;
}

static int sample_ucx(struct xfer_bench *bench, const char *transports, const char *test,
		      struct xfer_pace *pace)
{
	struct bench_xfer_peer found;
	int ret;

	ret = bench_ucx_run(transports, test, bench->bytes, UCX_MESSAGES, &found);
	if (ret == -ENOENT)
		return ret;
	if (ret)
		return failure(bench->error, ret, "ucx_perftest with UCX_TLS=%s has failed: %s",
			       transports, strerror(-ret));
	pace->rate = found.rate / GIGA;
	pace->economy = found.economy / GIGA;
	return 0;
}

static int sample_ucx_shared(struct xfer_bench *bench, struct xfer_pace *pace)
{
	return sample_ucx(bench, "posix,self", "ucp_put_bw", pace);
}

/* Tagged messages: UCX emulates puts over tcp, and they are many times slower. */
static int sample_ucx_tcp(struct xfer_bench *bench, struct xfer_pace *pace)
{
	return sample_ucx(bench, "tcp,self", "tag_bw", pace);
}

static int sample_perftest(struct xfer_bench *bench, struct xfer_pace *pace)
{
	const unsigned int pairs = (unsigned int)bench->options->rdma_pairs;
	uint64_t count = bench->bytes / bench->message_bytes / pairs;
	struct bench_xfer_peer found;
	int ret;

	ret = bench_perftest_write(bench->options->rdma_device, pairs, bench->message_bytes,
				   count < PERFTEST_MIN ? PERFTEST_MIN : (unsigned int)count,
				   &found);
	if (ret == -ENOENT)
		return ret;
	if (ret)
		return failure(bench->error, ret, "ib_write_bw has failed: %s", strerror(-ret));
	pace->rate = found.rate / GIGA;
	pace->economy = found.economy / GIGA;
	return 0;
}

/*
 * Rows
 */

static void add(struct xfer_bench *bench, const char *what, const char *unit, const char *peer,
		double aim, const struct bench_samples *samples)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: %s", bench->name, what);
	bench_table_add(bench->table, name, unit, peer, aim, samples);
}

/* What became of one transfer, in the row that was added last. */
static int add_transfers(struct xfer_bench *bench, const struct tandem_transfer_record *records,
			 unsigned int count)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < count; i++)
		json_array_append_new(array, transfers_object(&records[i]));
	if (json_array_size(array) != count) {
		json_decref(array);
		return failure(bench->error, -ENOMEM, "out of memory");
	}
	bench_table_detail(bench->table, "transfers", array);
	return 0;
}

/**
 * struct xfer_peer - what bytes in large blocks are measured beside
 * @name: of it
 * @package: where it is from, if it may be missing
 * @aim: ratio; 0 for none
 * @pull: the bytes are pulled, not pushed
 * @sample: as above; -ENOENT if it is missing, with nothing in @error
 */
struct xfer_peer {
	const char *name;
	const char *package;
	double aim;
	bool pull;
	int (*sample)(struct xfer_bench *bench, struct xfer_pace *pace);
};

static void skip_peer(struct xfer_bench *bench, const char *what, const struct xfer_peer *peer)
{
	char name[128], why[128];

	snprintf(name, sizeof(name), "%s: %s", bench->name, what);
	snprintf(why, sizeof(why), "%s is not here; install the package %s", peer->name,
		 peer->package);
	bench_table_skip(bench->table, name, why);
}

/* @pair: whose blocks are sent; @remote: where to; @what: to call them */
static int measure_against(struct xfer_bench *bench, struct bench_pair *pair,
			   const uint32_t *remote, const char *what,
			   const struct xfer_peer *peer)
{
	struct bench_samples rate = { 0 }, economy = { 0 };
	const transfer_fn transfer = peer->pull ? bench_pair_pull : bench_pair_push;
	struct tandem_transfer_record records[2];
	struct xfer_pace ours, theirs;
	unsigned int count = 0;
	char name[96];
	int ret;

	for (size_t round = 0; round < bench->options->common.rounds; round++) {
		ret = sample_transfer(bench, pair, transfer, remote, &ours);
		if (!ret) {
			/* Before a peer that uses the same pair. */
			count = bench_pair_records(pair, records);
			ret = peer->sample(bench, &theirs);
		}
		if (ret == -ENOENT && peer->package) {
			skip_peer(bench, what, peer);
			return 0;
		}
		if (ret)
			return ret;
		rate.ours[round] = ours.rate;
		rate.peer[round] = theirs.rate;
		economy.ours[round] = ours.economy;
		economy.peer[round] = theirs.economy;
	}
	rate.count = bench->options->common.rounds;
	economy.count = rate.count;
	add(bench, what, "GB/s", peer->name, peer->aim, &rate);
	ret = add_transfers(bench, records, count);
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "%s, processor time", what);
	add(bench, name, "GB/s of CPU", peer->name, 0, &economy);
	return bench_pair_check(pair, bench->in_order, remote, bench->error);
}

static int measure_large(struct xfer_bench *bench, const char *what,
			 const struct xfer_peer *peer)
{
	return measure_against(bench, &bench->large, bench->in_order, what, peer);
}

/* Small blocks beside large ones. */
static int measure_blocks(struct xfer_bench *bench, const char *what, const uint32_t *remote,
			  double aim)
{
	struct bench_samples rate = { 0 }, posting = { 0 };
	struct tandem_transfer_record records[2];
	struct xfer_pace ours, theirs;
	char name[96];
	int ret;

	for (size_t round = 0; round < bench->options->common.rounds; round++) {
		ret = sample_push(bench, &bench->small, remote, &ours);
		if (!ret)
			ret = sample_push(bench, &bench->large, bench->in_order, &theirs);
		if (ret)
			return ret;
		rate.ours[round] = ours.rate;
		rate.peer[round] = theirs.rate;
		/* Posting keeps up when it is faster than the blocks travel. */
		posting.ours[round] = ours.posting / 1e6;
		posting.peer[round] = theirs.rate * GIGA / (BLOCK_KIB * 1024) / 1e6;
	}
	rate.count = bench->options->common.rounds;
	posting.count = rate.count;
	snprintf(name, sizeof(name), "%lu blocks of %u KiB, %s", bench->options->blocks,
		 BLOCK_KIB, what);
	add(bench, name, "GB/s", "large blocks", aim, &rate);
	ret = add_transfers(bench, records, bench_pair_records(&bench->small, records));
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "posting them, %s", what);
	add(bench, name, "M blocks/s", "their travel", 0, &posting);
	return bench_pair_check(&bench->small, bench->in_order, remote, bench->error);
}

static int measure_local(struct xfer_bench *bench)
{
	static const struct xfer_peer copy = { "memcpy", NULL, 0.9, false, sample_copy };
	static const struct xfer_peer ucx = { "UCX, puts to shared memory", "ucx-utils", 0, false,
					      sample_ucx_shared };
	int ret = measure_large(bench, "large blocks", &copy);

	return ret ? ret : measure_large(bench, "large blocks beside UCX", &ucx);
}

static int measure_tcp(struct xfer_bench *bench)
{
	static const struct xfer_peer stream = { "bare stream", NULL, 0.9, false, sample_stream };
	static const struct xfer_peer ucx = { "UCX, tcp, tagged messages", "ucx-utils", 0, false, sample_ucx_tcp };
	int ret = measure_large(bench, "large blocks", &stream);

	return ret ? ret : measure_large(bench, "large blocks beside UCX", &ucx);
}

/* A message of the fewest bytes, beside ib_write_lat. */
static int measure_latency(struct xfer_bench *bench)
{
	static const struct xfer_peer peer = { "ib_write_lat", "perftest", 1 / 1.1, false, NULL };
	const struct bench_latency ours = {
		.device = { bench->options->device[0], bench->options->device[1] },
		.connection = bench->small.options.connection,
		.busy_poll_us = bench->options->busy_poll_us,
		.bytes = MESSAGE_BYTES,
		.count = MESSAGES,
	};
	struct bench_samples samples = { .count = bench->options->common.rounds };
	double seconds;
	char what[64];
	int ret;

	snprintf(what, sizeof(what), "messages of %u bytes, one at a time", MESSAGE_BYTES);
	for (size_t round = 0; round < samples.count; round++) {
		ret = bench_latency_run(&ours, &seconds, bench->error);
		if (ret)
			return ret;
		samples.ours[round] = 1e-3 / seconds;
		ret = bench_perftest_latency(bench->options->rdma_device, MESSAGE_BYTES, MESSAGES,
					     &seconds);
		if (ret == -ENOENT) {
			skip_peer(bench, what, &peer);
			return 0;
		}
		if (ret)
			return failure(bench->error, ret, "ib_write_lat has failed: %s",
				       strerror(-ret));
		samples.peer[round] = 1e-3 / seconds;
	}
	add(bench, what, "1/ms", peer.name, peer.aim, &samples);
	return 0;
}

static void reverse(uint32_t *blocks, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		blocks[i] = count - 1 - i;
}

static bool has_several_devices(const struct xfer_bench *bench)
{
	return bench->options->rdma_device && strchr(bench->options->rdma_device, ',');
}

/* Blocks that have no neighbours, so that each goes by itself. */
static int measure_verbs_blocks(struct xfer_bench *bench, uint32_t kib)
{
	const struct xfer_peer peer = {
		.name = has_several_devices(bench) ? "ib_write_bw, first NIC" : "ib_write_bw",
		.package = "perftest",
		.aim = 0.95,
		.sample = sample_perftest,
	};
	struct bench_pair_options options = bench->small.options;
	struct bench_pair pair;
	char what[64];
	int ret;

	options.block_bytes = kib * 1024;
	options.blocks = (uint32_t)(bench->bytes / options.block_bytes);
	if (!options.blocks)
		return 0;
	ret = bench_pair_open(&pair, &options, bench->error);
	if (ret)
		return ret;
	bench->message_bytes = options.block_bytes;
	reverse(bench->reversed, options.blocks);
	snprintf(what, sizeof(what), "blocks of %u KiB", kib);
	ret = measure_against(bench, &pair, bench->reversed, what, &peer);
	bench_pair_close(&pair);
	return ret;
}

static int measure_verbs(struct xfer_bench *bench)
{
	int ret = measure_verbs_blocks(bench, 64);

	if (!ret)
		ret = measure_verbs_blocks(bench, 1024);
	return ret ? ret : measure_latency(bench);
}

/* The other way round: what there is to read is at the other side from here on. */
static int measure_pulls(struct xfer_bench *bench, enum tandem_transport transport)
{
	static const struct xfer_peer stream = { "bare stream", NULL, 0.9, true, sample_stream };
	static const struct xfer_peer pushes = { "pushed", NULL, 0.9, true, sample_large_push };
	double posting;
	int ret;

	bench_pair_fill(&bench->large, 1);
	/* Once without pushes, which would hide it if anything was missing. */
	ret = bench_pair_pull(&bench->large, bench->in_order, bench->in_order, &posting,
			      bench->error);
	if (!ret)
		ret = bench_pair_check(&bench->large, bench->in_order, bench->in_order,
				       bench->error);
	if (!ret && transport == TANDEM_TRANSPORT_TCP)
		ret = measure_large(bench, "large blocks, pulled", &stream);
	return ret ? ret : measure_large(bench, "large blocks, pulled beside pushed", &pushes);
}

static int measure(struct xfer_bench *bench, enum tandem_transport transport)
{
	int ret;

	switch (transport) {
	case TANDEM_TRANSPORT_LOCAL:
		ret = measure_local(bench);
		break;
	case TANDEM_TRANSPORT_TCP:
		ret = measure_tcp(bench);
		break;
	default:
		ret = measure_verbs(bench);
		break;
	}
	if (!ret)
		ret = measure_blocks(bench, "neighbours", bench->in_order, 0.9);
	if (!ret)
		ret = measure_blocks(bench, "scattered", bench->scattered, 0.7);
	if (!ret)
		ret = measure_pulls(bench, transport);
	return ret;
}

/*
 * Setting up
 */

static int make_orders(struct xfer_bench *bench)
{
	const uint32_t blocks = (uint32_t)bench->options->blocks;
	uint64_t random = 1;

	bench->in_order = calloc(blocks, sizeof(uint32_t));
	bench->scattered = calloc(blocks, sizeof(uint32_t));
	bench->reversed = calloc(blocks, sizeof(uint32_t));
	if (!bench->in_order || !bench->scattered || !bench->reversed)
		return failure(bench->error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < blocks; i++)
		bench->in_order[i] = bench->scattered[i] = i;
	for (uint32_t i = blocks - 1; i; i--) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		const uint32_t other = (uint32_t)((random >> 33) % (i + 1));
		const uint32_t value = bench->scattered[i];

		bench->scattered[i] = bench->scattered[other];
		bench->scattered[other] = value;
	}
	return 0;
}

static int open_pairs(struct xfer_bench *bench, enum tandem_transport transport, bool apart)
{
	struct bench_pair_options options = {
		.device = { bench->options->device[0], bench->options->device[1] },
		.connection = {
			.transport = transport,
			.gid_index = -1,
			.rdma_device = bench->options->rdma_device,
			.rdma_pairs = (unsigned int)bench->options->rdma_pairs,
			.streams = (unsigned int)bench->options->streams,
			.timeout_ms = IDLE_MS,
		},
		.busy_poll_us = bench->options->busy_poll_us,
		.apart = apart,
		.block_bytes = BLOCK_KIB * 1024,
		.blocks = (uint32_t)bench->options->blocks,
	};
	uint32_t join = LARGE_KIB / BLOCK_KIB;
	int ret;

	bench->bytes = (uint64_t)options.block_bytes * options.blocks;
	ret = bench_pair_open(&bench->small, &options, bench->error);
	if (ret)
		return ret;
	while (options.blocks % join)
		join /= 2;
	options.block_bytes *= join;
	options.blocks /= join;
	return bench_pair_open(&bench->large, &options, bench->error);
}

/* Return: what has been chosen. */
static enum tandem_transport add_choice(struct xfer_bench *bench)
{
	const struct tandem_connection *connection = bench->small.connection[0];
	const enum tandem_transport chosen = tandem_connection_transport(connection);

	bench_table_condition(bench->table, "transport", tandem_transport_name(chosen));
	bench_table_condition_object(bench->table, "transport_reasons",
				     reasons_object(connection));
	return chosen;
}

static int bench_transport(struct xfer_bench *bench, enum tandem_transport transport, bool apart)
{
	int ret = open_pairs(bench, transport, apart);

	if (ret && transport == TANDEM_TRANSPORT_VERBS && !bench->options->transport) {
		bench_table_skip(bench->table, "verbs", bench->error->message);
		ret = 0;
	} else if (!ret) {
		if (transport == TANDEM_TRANSPORT_AUTO)
			transport = add_choice(bench);
		bench->name = apart && transport == TANDEM_TRANSPORT_LOCAL ?
			"local, as between processes" : tandem_transport_name(transport);
		ret = measure(bench, transport);
	}
	bench_pair_close(&bench->large);
	bench_pair_close(&bench->small);
	return ret;
}

/* What auto chooses is among the others. */
static bool is_wanted(const struct xfer_options *options, enum tandem_transport transport)
{
	return options->transport ?
		!strcmp(options->transport, tandem_transport_name(transport)) :
		transport != TANDEM_TRANSPORT_AUTO;
}

static int bench(const struct xfer_options *options, struct tandem_error *error)
{
	static const struct {
		enum tandem_transport transport;
		bool apart;
	} all[] = {
		{ TANDEM_TRANSPORT_LOCAL, false },
		{ TANDEM_TRANSPORT_LOCAL, true },
		{ TANDEM_TRANSPORT_TCP, false },
		{ TANDEM_TRANSPORT_VERBS, false },
		{ TANDEM_TRANSPORT_AUTO, true },
	};
	struct xfer_bench bench = { .options = options, .error = error };
	int ret = 0;

	bench.table = bench_table_create();
	if (!bench.table)
		return failure(error, -ENOMEM, "out of memory");
	bench_table_condition(bench.table, "from", options->device[0]);
	bench_table_condition(bench.table, "to", options->device[1]);
	bench_table_condition_number(bench.table, "rounds", (double)options->common.rounds);
	bench_table_condition_number(bench.table, "seconds_a_sample", options->common.seconds);
	bench_table_condition_number(bench.table, "streams", (double)options->streams);
	bench_table_condition_number(bench.table, "rdma_pairs", (double)options->rdma_pairs);
	if (options->busy_poll_us >= 0)
		bench_table_condition_number(bench.table, "busy_poll_us",
					     (double)options->busy_poll_us);
	if (options->rdma_device)
		bench_table_condition(bench.table, "rdma_device", options->rdma_device);
	ret = make_orders(&bench);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && !ret; i++)
		if (is_wanted(options, all[i].transport))
			ret = bench_transport(&bench, all[i].transport, all[i].apart);
	if (!ret && bench_table_print(bench.table, options->common.json))
		ret = failure(error, -EIO, "cannot write the results");
	bench_table_destroy(bench.table);
	free(bench.in_order);
	free(bench.scattered);
	free(bench.reversed);
	return ret;
}

enum xfer_key {
	KEY_FROM = 'f',
	KEY_TO = 't',
	KEY_TRANSPORT = 0x100,
	KEY_BLOCKS,
	KEY_RDMA_DEVICE,
	KEY_RDMA_PAIRS,
	KEY_BUSY_POLL,
	KEY_STREAMS,
};

static const struct argp_option known[] = {
	{ "from", KEY_FROM, "DEV", 0, "sending device (default inproc:trn2,cores=1)", 0 },
	{ "to", KEY_TO, "DEV", 0, "receiving device (default inproc:wse3,cores=1)", 0 },
	{ "transport", KEY_TRANSPORT, "local|tcp|verbs|auto", 0,
	  "only this one; with auto the first that reaches, as between processes, and the conditions say why", 0 },
	{ "blocks", KEY_BLOCKS, "N", 0, "blocks of 8 KiB, 16 to 1048576 (default 16384)", 0 },
	{ "rdma-device", KEY_RDMA_DEVICE, "NAME", 0, "with verbs: as ibv_devices names it (default the first), or several with commas between", 0 },
	{ "rdma-pairs", KEY_RDMA_PAIRS, "N", 0, "with verbs: queue pairs on each, 1 to 8 (default 1)", 0 },
	{ "busy-poll", KEY_BUSY_POLL, "US", 0, "with verbs: microseconds for which an idle loop polls before it sleeps, up to 1000000 (default the library's)", 0 },
	{ "streams", KEY_STREAMS, "N", 0, "with tcp: sockets, 1 to 16 (default 2)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct xfer_options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_FROM:
		options->device[0] = argument;
		return 0;
	case KEY_TO:
		options->device[1] = argument;
		return 0;
	case KEY_TRANSPORT:
		if (tandem_transport_parse(argument) < 0)
			argp_error(state, "--transport: '%s' is none; it is local, tcp, verbs or auto",
				   argument);
		options->transport = argument;
		return 0;
	case KEY_BLOCKS:
		options->blocks = argument_number(state, "--blocks", argument, 16, 1048576);
		return 0;
	case KEY_RDMA_DEVICE:
		options->rdma_device = argument;
		return 0;
	case KEY_RDMA_PAIRS:
		options->rdma_pairs = argument_number(state, "--rdma-pairs", argument, 1, 8);
		return 0;
	case KEY_BUSY_POLL:
		options->busy_poll_us = (long)argument_number(state, "--busy-poll", argument, 0,
							      1000000);
		return 0;
	case KEY_STREAMS:
		options->streams = argument_number(state, "--streams", argument, 1, BENCH_STREAMS_MAX);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not needed", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int bench_xfer(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &bench_arguments_argp },
		{ 0 },
	};
	static const struct argp argp = {
		.options = known,
		.parser = parse_option,
		.children = children,
		.doc = "Measure how fast KV blocks travel: locally beside memcpy() and UCX, over TCP beside a bare io_uring stream and UCX, over verbs beside ib_write_bw and ib_write_lat, and in small blocks beside large ones. UCX (package ucx-utils) and perftest are left out where they are not installed. More is better, and so is a higher ratio. By default, each figure has 5 samples of 0.5 seconds.",
	};
	struct xfer_options options = {
		.device = { "inproc:trn2,cores=1", "inproc:wse3,cores=1" },
		.common = { .rounds = ROUNDS_DEFAULT, .seconds = SECONDS_DEFAULT },
		.blocks = BLOCKS_DEFAULT,
		.streams = STREAMS_DEFAULT,
		.rdma_pairs = 1,
		.busy_poll_us = -1,
	};
	struct tandem_error error = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	return bench(&options, &error) ? failure_print(&error) : 0;
}
