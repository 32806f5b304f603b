/* SPDX-License-Identifier: MIT */
/*
 * Programs of others that carry the same bytes over the same path: UCX's
 * ucx_perftest, and perftest's ib_write_bw and ib_write_lat.
 */
#ifndef TANDEM_BENCH_XFER_PEER_H
#define TANDEM_BENCH_XFER_PEER_H

#include <stdint.h>

/**
 * struct bench_xfer_peer - what a peer found
 * @rate: bytes a second
 * @economy: bytes a second of processor time of both its sides
 */
struct bench_xfer_peer {
	double rate;
	double economy;
};

/**
 * bench_ucx_run() - messages of one size after the other, in two processes
 * @transports: as UCX_TLS has them
 * @test: as ucx_perftest's -t has it
 * @bytes: of each
 * @count: of messages
 * @found: filled in; the economy is that of @count messages beyond a first one, so
 *	what the programs need to start is not in it, unless the two cannot be told apart
 *
 * Return: 0; -ENOENT it is not installed; -EIO it failed.
 */
int bench_ucx_run(const char *transports, const char *test, uint64_t bytes, unsigned int count,
		  struct bench_xfer_peer *found);

/*
 * The same, of RDMA writes of the first of @device (as &tandem_connection_options.rdma_device;
 * NULL: the first there is) to itself, @count of them on each
 * of as many @queue_pairs; what the programs need to start is in the economy.
 */
int bench_perftest_write(const char *device, unsigned int queue_pairs, uint64_t bytes,
			 unsigned int count, struct bench_xfer_peer *found);

/**
 * bench_perftest_latency() - writes to and fro, of which each waits for the other
 * @device: as above
 * @bytes: of each
 * @count: of them
 * @seconds: filled in: from one side to the other, the median
 *
 * Return: as above.
 */
int bench_perftest_latency(const char *device, uint64_t bytes, unsigned int count,
			   double *seconds);

#endif /* TANDEM_BENCH_XFER_PEER_H */
