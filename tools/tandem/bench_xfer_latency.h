/* SPDX-License-Identifier: MIT */
/* How long a few bytes take from one side's memory into the other's. */
#ifndef TANDEM_BENCH_XFER_LATENCY_H
#define TANDEM_BENCH_XFER_LATENCY_H

#include <stdint.h>

#include <tandem/tandem.h>

/**
 * struct bench_latency - what to measure
 * @device: names of the two devices
 * @connection: how they are connected; not LOCAL, whose sides share a thread
 * @busy_poll_us: for tandem_loop_set_busy_poll(), if not negative
 * @bytes: of each message, even
 * @count: messages to and fro
 */
struct bench_latency {
	const char *device[2];
	struct tandem_connection_options connection;
	long busy_poll_us;
	uint32_t bytes;
	unsigned int count;
};

/**
 * bench_latency_run() - messages to and fro, of which each waits for the other
 * @options: what
 * @seconds: filled in: from one side to the other, the median, which is what ib_write_lat
 *	calls typical
 * @error: filled in on failure
 *
 * Each side has a thread and a loop. Return: 0 or a negative errno.
 */
int bench_latency_run(const struct bench_latency *options, double *seconds,
		      struct tandem_error *error);

#endif /* TANDEM_BENCH_XFER_LATENCY_H */
