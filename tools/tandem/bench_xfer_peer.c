// SPDX-License-Identifier: MIT
/* ucx_perftest, ib_write_bw and ib_write_lat. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_program.h"
#include "bench_xfer_peer.h"

#define OUTPUT_BYTES	16384
#define LOCALHOST	"127.0.0.1"
/* Of the slowest machine; then timeout(1) ends them. */
#define SECONDS_MAX	"120"
#define MIB		1048576.0

/* The last line of the output that begins with a digit; NULL if there is none. */
static const char *last_figures(char *output)
{
	const char *found = NULL;
	char *line, *rest;

	for (line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		line += strspn(line, " \t");
		if (*line >= '0' && *line <= '9')
			found = line;
	}
	return found;
}

/*
 * Run both sides. @column: which of the figures to take, from 0, where they are
 * separated by any of " ,\t".
 */
static int run(char *const *server, char *const *client, unsigned int column, double *figure,
	       double *cpu_seconds)
{
	char output[OUTPUT_BYTES];
	const char *at;
	int ret;

	ret = bench_program_run_pair(server, client, output, sizeof(output), cpu_seconds);
	if (ret)
		return ret == 127 ? -ENOENT : -EIO;
	at = last_figures(output);
	for (; at && column; column--) {
		at += strcspn(at, " ,\t");
		at += strspn(at, " ,\t");
	}
	*figure = at ? strtod(at, NULL) : 0;
	return *figure > 0 ? 0 : -EIO;
}

/* One run of ucx_perftest. @rate: bytes a second, all messages together. */
static int run_ucx(const char *transports, const char *test, uint64_t bytes, unsigned int count,
		   double *rate, double *cpu_seconds)
{
	char variable[64], port[16], size[32], number[16];
	char *server[] = { "timeout", SECONDS_MAX, "env", variable, "ucx_perftest", "-p", port,
			   NULL };
	char *client[] = { "timeout", SECONDS_MAX, "env", variable, "ucx_perftest", LOCALHOST,
			   "-p", port, "-t", (char *)test, "-s", size, "-n", number, "-w", "1",
			   "-f", "-v", NULL };
	int ret;

	snprintf(variable, sizeof(variable), "UCX_TLS=%s", transports);
	snprintf(port, sizeof(port), "%u", bench_program_free_port());
	snprintf(size, sizeof(size), "%" PRIu64, bytes);
	snprintf(number, sizeof(number), "%u", count);
	/* iterations, three times, average and overall bandwidth in MiB/s, ... */
	ret = run(server, client, 5, rate, cpu_seconds);
	*rate *= MIB;
	return ret;
}

int bench_ucx_run(const char *transports, const char *test, uint64_t bytes, unsigned int count,
		  struct bench_xfer_peer *found)
{
	double unused, start, whole;
	int ret;

	ret = run_ucx(transports, test, bytes, 1, &unused, &start);
	if (!ret)
		ret = run_ucx(transports, test, bytes, 1 + count, &found->rate, &whole);
	if (ret)
		return ret;
	/* Few bytes take less time than starts differ by. */
	if (whole <= start)
		start = 0;
	found->economy = (double)bytes * count / (whole - start);
	return 0;
}

/**
 * struct perftest - the two command lines of a program of perftest
 * @server: ends where @client has the address
 * @client: refers to what follows
 */
struct perftest {
	char *server[16];
	char *client[16];
	char port[16];
	char size[32];
	char count[16];
	char queue_pairs[16];
	char device[64];
};

static void describe(struct perftest *test, const char *program, const char *device,
		     unsigned int queue_pairs, uint64_t bytes, unsigned int count)
{
	char *const argv[] = { "timeout", SECONDS_MAX, (char *)program, "-F", "-p", test->port,
			       "-s", test->size, "-n", test->count };
	char *const several[] = { "-q", test->queue_pairs };
	size_t length = sizeof(argv) / sizeof(argv[0]);

	memset(test, 0, sizeof(*test));
	snprintf(test->port, sizeof(test->port), "%u", bench_program_free_port());
	snprintf(test->size, sizeof(test->size), "%" PRIu64, bytes);
	snprintf(test->count, sizeof(test->count), "%u", count);
	memcpy(test->server, argv, sizeof(argv));
	/* Not every program of perftest takes it. */
	if (queue_pairs > 1) {
		snprintf(test->queue_pairs, sizeof(test->queue_pairs), "%u", queue_pairs);
		memcpy(&test->server[length], several, sizeof(several));
		length += 2;
	}
	if (device) {
		snprintf(test->device, sizeof(test->device), "%.*s", (int)strcspn(device, ","),
			 device);
		test->server[length++] = "-d";
		test->server[length++] = test->device;
	}
	memcpy(test->client, test->server, sizeof(test->server));
	test->client[length] = LOCALHOST;
}

int bench_perftest_write(const char *device, unsigned int queue_pairs, uint64_t bytes,
			 unsigned int count, struct bench_xfer_peer *found)
{
	struct perftest test;
	double cpu_seconds;
	int ret;

	describe(&test, "ib_write_bw", device, queue_pairs, bytes, count);
	/* bytes, iterations, peak and average bandwidth in MiB/s, messages */
	ret = run(test.server, test.client, 3, &found->rate, &cpu_seconds);
	if (ret)
		return ret;
	found->rate *= MIB;
	found->economy = (double)bytes * count * queue_pairs / cpu_seconds;
	return 0;
}

int bench_perftest_latency(const char *device, uint64_t bytes, unsigned int count,
			   double *seconds)
{
	struct perftest test;
	double cpu_seconds;
	int ret;

	describe(&test, "ib_write_lat", device, 1, bytes, count);
	/* bytes, iterations, least, greatest and typical in us, ... */
	ret = run(test.server, test.client, 4, seconds, &cpu_seconds);
	*seconds *= 1e-6;
	return ret;
}
