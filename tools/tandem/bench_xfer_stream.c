// SPDX-License-Identifier: MIT
/* A bare stream of io_uring between two threads. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <liburing.h>

#include "bench_xfer_stream.h"
#include "failure.h"

/**
 * struct half - one of the two threads
 * @stream: what is sent
 * @fds: its ends of the sockets
 * @sends: or else it receives
 * @ring: of its own
 * @at: of each socket, next byte to go
 * @end: of each socket, behind its last byte
 * @result: 0 or a negative errno
 */
struct half {
	const struct bench_stream *stream;
	int fds[BENCH_STREAMS_MAX];
	bool sends;
	struct io_uring ring;
	size_t at[BENCH_STREAMS_MAX];
	size_t end[BENCH_STREAMS_MAX];
	int result;
};

static void half_post(struct half *half, unsigned int i)
{
	const struct bench_stream *stream = half->stream;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&half->ring);
	size_t size = half->end[i] - half->at[i];

	if (size > stream->slice)
		size = stream->slice;
	if (half->sends)
		io_uring_prep_send(sqe, half->fds[i], stream->source + half->at[i], size,
				   MSG_WAITALL | MSG_NOSIGNAL);
	else
		io_uring_prep_recv(sqe, half->fds[i], stream->destination + half->at[i], size,
				   MSG_WAITALL);
	io_uring_sqe_set_data64(sqe, i);
}

static int half_run(struct half *half)
{
	const struct bench_stream *stream = half->stream;
	unsigned int active = stream->streams, i;
	struct io_uring_cqe *cqe;
	int ret;

	for (i = 0; i < stream->streams; i++) {
		half->at[i] = stream->bytes / stream->streams * i;
		half->end[i] = i + 1 < stream->streams ?
			stream->bytes / stream->streams * (i + 1) : stream->bytes;
		half_post(half, i);
	}
	while (active) {
		ret = io_uring_submit_and_wait(&half->ring, 1);
		if (ret < 0 && ret != -EINTR)
			return ret;
		while (active && !io_uring_peek_cqe(&half->ring, &cqe)) {
			i = (unsigned int)io_uring_cqe_get_data64(cqe);
			ret = cqe->res;
			io_uring_cqe_seen(&half->ring, cqe);
			if (ret <= 0)
				return ret ? ret : -ECONNRESET;
			half->at[i] += (size_t)ret;
			if (half->at[i] < half->end[i])
				half_post(half, i);
			else
				active--;
		}
	}
	return 0;
}

static void *half_thread(void *argument)
{
	struct half *half = argument;
	unsigned int i;

	half->result = half_run(half);
	/* Lest the other one wait for ever. */
	if (half->result)
		for (i = 0; i < half->stream->streams; i++)
			shutdown(half->fds[i], SHUT_RDWR);
	return NULL;
}

static int connect_pair(int listener, const struct sockaddr_in *address, int *one, int *other)
{
	const int on = 1;

	*one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*one < 0)
		return -errno;
	if (connect(*one, (const struct sockaddr *)address, sizeof(*address)))
		return -errno;
	*other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (*other < 0)
		return -errno;
	setsockopt(*one, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return 0;
}

static int connect_all(struct half *halves, unsigned int streams)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(address);
	unsigned int i;
	int ret = 0;

	if (listener < 0)
		return -errno;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 16) ||
	    getsockname(listener, (struct sockaddr *)&address, &size))
		ret = -errno;
	for (i = 0; i < streams && !ret; i++)
		ret = connect_pair(listener, &address, &halves[0].fds[i], &halves[1].fds[i]);
	close(listener);
	return ret;
}

static int run_threads(struct half *halves)
{
	pthread_t receiver;
	int ret;

	ret = pthread_create(&receiver, NULL, half_thread, &halves[1]);
	if (ret)
		return -ret;
	half_thread(&halves[0]);
	pthread_join(receiver, NULL);
	return halves[0].result ? halves[0].result : halves[1].result;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int bench_stream_run(const struct bench_stream *stream, double *seconds,
		     struct tandem_error *error)
{
	struct half halves[2] = { { .stream = stream, .sends = true }, { .stream = stream } };
	unsigned int rings, i;
	int ret = 0;

	memset(halves[0].fds, -1, sizeof(halves[0].fds));
	memset(halves[1].fds, -1, sizeof(halves[1].fds));
	for (rings = 0; rings < 2 && !ret; rings++)
		ret = io_uring_queue_init(64, &halves[rings].ring, 0);
	if (ret)
		rings--;
	if (!ret)
		ret = connect_all(halves, stream->streams);
	if (!ret) {
		*seconds = now();
		ret = run_threads(halves);
		*seconds = now() - *seconds;
	}
	for (i = 0; i < BENCH_STREAMS_MAX; i++) {
		if (halves[0].fds[i] >= 0)
			close(halves[0].fds[i]);
		if (halves[1].fds[i] >= 0)
			close(halves[1].fds[i]);
	}
	while (rings)
		io_uring_queue_exit(&halves[--rings].ring);
	if (ret)
		return failure(error, ret, "a bare stream over loopback: %s", strerror(-ret));
	return 0;
}
