/* SPDX-License-Identifier: MIT */
/*
 * What tcp transfers are measured against: a bare stream of io_uring between
 * two threads, over as many sockets, with nothing said but the bytes.
 */
#ifndef TANDEM_BENCH_XFER_STREAM_H
#define TANDEM_BENCH_XFER_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

#define BENCH_STREAMS_MAX	16u

/**
 * struct bench_stream - a bare stream
 * @source: what is sent, @bytes of it
 * @destination: where to
 * @bytes: in all
 * @slice: bytes of one request
 * @streams: sockets, up to %BENCH_STREAMS_MAX
 */
struct bench_stream {
	const uint8_t *source;
	uint8_t *destination;
	size_t bytes;
	size_t slice;
	unsigned int streams;
};

/**
 * bench_stream_run() - send all of it once
 * @stream: what
 * @seconds: filled in
 * @error: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int bench_stream_run(const struct bench_stream *stream, double *seconds,
		     struct tandem_error *error);

#endif /* TANDEM_BENCH_XFER_STREAM_H */
