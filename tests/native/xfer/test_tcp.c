// SPDX-License-Identifier: MIT
/*
 * The tcp transport against peers that do not keep to the rules: strangers,
 * callers without the token, and a peer that was given the description and
 * then says what it likes. Nothing of theirs may land, and others are served.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"
#include "runtime/xfer.h"
#include "runtime/xfer_tcp_frame.h"

static const struct pair_kind tcp_kind = {
	.name = "tcp",
	.device = { "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" },
	.transport = TANDEM_TRANSPORT_TCP,
};

/**
 * struct rogue - a peer without our library
 * @pair: whose side 1 it plays with
 * @endpoint: of that side
 * @fd: its stream
 */
struct rogue {
	struct pair *pair;
	struct tcp_endpoint endpoint;
	int fd;
};

static int setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	pair_kind = &tcp_kind;
	pair_open(pair, pair_layout);
	*state = pair;
	return 0;
}

static void read_endpoint(struct tandem_connection *connection, struct tcp_endpoint *endpoint)
{
	struct xfer_description description;
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	int size;

	size = tandem_connection_describe(connection, bytes, sizeof(bytes));
	assert_int_equal(xfer_description_decode(bytes, size, &description, NULL), 0);
	assert_int_equal(tcp_endpoint_decode(description.part, description.part_size, endpoint),
			 0);
}

static int dial(const struct tcp_endpoint *endpoint)
{
	int fd = socket(endpoint->addresses[0].ss_family, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&endpoint->addresses[0],
				 tcp_address_size(&endpoint->addresses[0])), 0);
	return fd;
}

/* Has the other side closed this socket? Runs the loop until then. */
static void await_close(struct pair *pair, int fd)
{
	static char bytes[1 << 16];
	ssize_t size;

	for (;;) {
		size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (!size || (size < 0 && errno == ECONNRESET))
			return;
		if (size < 0)
			assert_int_equal(errno, EAGAIN);
		pair_run(pair, 1);
	}
}

static void receive(struct pair *pair, int fd, void *bytes, size_t size)
{
	uint8_t *at = bytes;
	ssize_t got;

	while (size) {
		got = recv(fd, at, size, MSG_DONTWAIT);
		if (got < 0) {
			assert_int_equal(errno, EAGAIN);
			pair_run(pair, 1);
			continue;
		}
		assert_true(got > 0);
		at += got;
		size -= got;
	}
}

/* As much of it as the other side takes before it closes the socket. */
static void send_all(struct pair *pair, int fd, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	ssize_t sent;

	while (size) {
		sent = send(fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return;
		if (sent < 0) {
			pair_run(pair, 1);
			continue;
		}
		at += sent;
		size -= sent;
	}
}

static void greet(const struct rogue *rogue, const uint8_t *token, uint16_t stream,
		  uint16_t streams)
{
	struct tcp_greeting greeting = { .stream = stream, .streams = streams };
	uint8_t bytes[TCP_GREETING_BYTES];

	memcpy(greeting.token, token, TCP_TOKEN_BYTES);
	tcp_greeting_encode(&greeting, bytes);
	assert_int_equal(send(rogue->fd, bytes, sizeof(bytes), 0), sizeof(bytes));
}

/* Take the place of side 0; the lowest token there is makes us dial. */
static void rogue_introduce(struct pair *pair, struct rogue *rogue, uint16_t streams)
{
	struct tcp_endpoint endpoint = { .port = 9, .streams = streams, .address_count = 1 };
	struct xfer_description description = {
		.transport = TANDEM_TRANSPORT_TCP,
		.layout = pair_layout[0],
	};
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	struct tandem_error error;
	int size;

	rogue->pair = pair;
	pair->connection[1] = pair_connection(pair, 1);
	read_endpoint(pair->connection[1], &rogue->endpoint);
	endpoint.addresses[0] = rogue->endpoint.addresses[0];
	description.part_size = tcp_endpoint_encode(&endpoint, description.part);
	size = xfer_description_encode(&description, bytes, sizeof(bytes));
	assert_int_equal(tandem_connection_connect(pair->connection[1], bytes, size, &error), 0);
}

static void rogue_connect(struct pair *pair, struct rogue *rogue)
{
	uint8_t answer[TCP_GREETING_BYTES];
	struct tcp_greeting greeting;

	rogue_introduce(pair, rogue, 1);
	rogue->fd = dial(&rogue->endpoint);
	greet(rogue, rogue->endpoint.token, 0, 1);
	receive(pair, rogue->fd, answer, sizeof(answer));
	assert_int_equal(tcp_greeting_decode(answer, &greeting), 0);
}

/* What the rogue says is followed by the end of the connection. */
static void rogue_says(void **state, const void *bytes, size_t size)
{
	struct tandem_operation received = { 0 };
	struct pair *pair = *state;
	struct rogue rogue;

	rogue_connect(pair, &rogue);
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &received), 0);
	send_all(pair, rogue.fd, bytes, size);
	assert_int_equal(pair_wait(pair, &received), -EPROTO);
	await_close(pair, rogue.fd);
	close(rogue.fd);
	pair_check(pair);
}

static void rogue_says_entry(void **state, const struct tcp_entry *entry, uint64_t number,
			     uint32_t acknowledged)
{
	struct tcp_head head = {
		.entries = 1,
		.number = number,
		.acknowledged = acknowledged,
		.bytes = entry->length,
	};
	uint8_t frame[TCP_HEAD_BYTES + 64] = { 0 };

	tcp_head_encode(&head, frame);
	tcp_entry_encode(entry, frame, 0);
	rogue_says(state, frame, sizeof(frame));
}

static void test_garbage(void **state)
{
	char text[TCP_HEAD_BYTES] = "GET / HTTP/1.1\r\n";

	rogue_says(state, text, sizeof(text));
}

static void test_outside_of_the_pool(void **state)
{
	struct tcp_entry entry = {
		.offset = tandem_kv_block_bytes(&pair_layout[1]) * pair_layout[1].blocks *
			pair_layout[1].layers - 10,
		.length = 64,
		.transfer = 1,
		.blocks = 1,
	};

	rogue_says_entry(state, &entry, 0, 0);
}

static void test_frame_left_out(void **state)
{
	struct tcp_entry entry = { .length = 64, .transfer = 1, .blocks = 1 };

	rogue_says_entry(state, &entry, 1, 0);
}

static void test_acknowledges_what_was_not_sent(void **state)
{
	struct tcp_entry entry = { .length = 64, .transfer = 1, .blocks = 1 };

	rogue_says_entry(state, &entry, 0, 1);
}

/* It says that it has what it has not, which is too much. */
static void test_many_entries_of_nothing(void **state)
{
	struct tcp_head head = { .entries = 2, .bytes = 128 };
	struct tcp_entry entry = { .length = 64, .transfer = 1, .blocks = 1 };
	uint8_t frame[TCP_FRAME_BYTES_MAX] = { 0 };

	tcp_head_encode(&head, frame);
	tcp_entry_encode(&entry, frame, 0);
	rogue_says(state, frame, TCP_HEAD_BYTES + TCP_ENTRY_BYTES);
}

/* A frame of one entry; without its bytes. */
static void make_frame(uint32_t kind, const struct tcp_entry *entry, uint8_t *frame)
{
	struct tcp_head head = { .kind = kind, .entries = 1 };

	if (tcp_frame_has_bytes(kind))
		head.bytes = entry->length;
	tcp_head_encode(&head, frame);
	tcp_entry_encode(entry, frame, 0);
}

static void test_requests_what_is_outside_of_the_pool(void **state)
{
	struct tcp_entry entry = {
		.offset = tandem_kv_block_bytes(&pair_layout[1]) * pair_layout[1].blocks *
			pair_layout[1].layers - 10,
		.length = 64,
		.blocks = 1,
	};
	uint8_t frame[TCP_HEAD_BYTES];

	make_frame(TCP_FRAME_REQUESTS, &entry, frame);
	rogue_says(state, frame, sizeof(frame));
}

/* More than there can be, without taking in a byte of the answers. */
static void test_requests_without_end(void **state)
{
	const struct tcp_entry entry = {
		.length = tandem_kv_block_bytes(&pair_layout[1]) * pair_layout[1].blocks *
			pair_layout[1].layers,
		.blocks = 1,
	};
	struct tcp_head head = { .kind = TCP_FRAME_REQUESTS, .entries = TCP_FRAME_ENTRIES };
	static uint8_t frames[20][TCP_FRAME_BYTES_MAX];
	unsigned int i;

	tcp_head_encode(&head, frames[0]);
	for (i = 0; i < TCP_FRAME_ENTRIES; i++)
		tcp_entry_encode(&entry, frames[0], i);
	for (i = 1; i < 20; i++)
		memcpy(frames[i], frames[0], sizeof(frames[0]));
	rogue_says(state, frames, sizeof(frames));
}

static void test_answers_unasked(void **state)
{
	static const uint32_t kinds[] = { TCP_FRAME_ANSWERS, TCP_FRAME_REFUSALS };
	static const uint32_t numbers[] = { 0, 4095, 65535 };
	struct tcp_entry entry = { .length = 64, .blocks = 1 };
	uint8_t frame[TCP_HEAD_BYTES + 64] = { 0 };
	struct pair *pair = *state;
	unsigned int i;

	for (i = 0; i < 6; i++) {
		entry.transfer = numbers[i / 2];
		make_frame(kinds[i % 2], &entry, frame);
		rogue_says(state, frame, sizeof(frame));
		tandem_connection_close(pair->connection[1]);
		pair->connection[1] = NULL;
	}
}

/* An answer is what was asked for, byte for byte, once, or ends the connection. */
static void test_answers_otherwise(void **state)
{
	uint32_t blocks[] = { 1, 2, 3 };
	struct tandem_pull pull = { .layer_count = 1, .local_blocks = blocks,
				    .remote_blocks = blocks, .block_count = 3 };
	uint8_t frame[TCP_HEAD_BYTES + 4096] = { 0 };
	struct tandem_operation read = { 0 };
	struct pair *pair = *state;
	struct tcp_entry entry, asked;
	struct rogue rogue;
	size_t size;
	int round;

	for (round = 0; round < 6; round++) {
		rogue_connect(pair, &rogue);
		assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &read), 0);
		receive(pair, rogue.fd, frame, TCP_HEAD_BYTES);
		assert_int_equal(tcp_entries_decode(frame, &(struct tcp_head){
			.kind = TCP_FRAME_REQUESTS, .entries = 1 }, UINT64_MAX, &asked), 0);
		assert_int_equal(asked.length, 3 * tandem_kv_block_bytes(pair_layout));
		entry = asked;
		entry.offset += round == 0 ? 64 : 0;
		entry.length -= round == 1 ? 64 : 0;
		entry.blocks -= round == 2;
		entry.transfer ^= round == 3;
		entry.generation = round == 4;
		make_frame(TCP_FRAME_ANSWERS, &entry, frame);
		size = round == 5 ? TCP_HEAD_BYTES + entry.length : TCP_HEAD_BYTES;
		memcpy(frame + TCP_HEAD_BYTES,
		       pair->shadow[1] + tandem_kv_block_offset(&pair_layout[1], 0, 1), asked.length);
		assert_int_equal(send(rogue.fd, frame, size, MSG_NOSIGNAL), (ssize_t)size);
		if (round < 5) {
			assert_int_equal(pair_wait(pair, &read), -EPROTO);
		} else {
			/* The right one, and then for a second time. */
			assert_int_equal(pair_wait(pair, &read), 0);
			memset(frame + TCP_HEAD_BYTES, 0xee, asked.length);
			assert_int_equal(send(rogue.fd, frame, size, MSG_NOSIGNAL), (ssize_t)size);
		}
		await_close(pair, rogue.fd);
		close(rogue.fd);
		tandem_connection_close(pair->connection[1]);
		pair->connection[1] = NULL;
		pair_check(pair);
	}
}

/* Of offers that there never were, or of nothing read. */
static void test_notes_about_offers(void **state)
{
	static const struct xfer_note notes[] = {
		{ .kind = XFER_NOTE_WITHDRAWN, .generation = 5 },
		{ .kind = XFER_NOTE_READ, .generation = 5 },
		{ .kind = XFER_NOTE_READ + 1, .generation = 5, .blocks = 1 },
	};
	const struct tcp_head head = { .kind = TCP_FRAME_NOTES, .entries = 1 };
	struct pair *pair = *state;
	uint8_t frame[TCP_HEAD_BYTES];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		tcp_head_encode(&head, frame);
		xfer_note_encode(&notes[i], frame + TCP_ENTRIES_AT);
		rogue_says(state, frame, sizeof(frame));
		tandem_connection_close(pair->connection[1]);
		pair->connection[1] = NULL;
	}
}

/* It takes requests and says nothing: the deadline ends that. */
static void test_never_answers(void **state)
{
	uint32_t blocks[] = { 1, 2, 3 };
	struct tandem_pull pull = { .layer_count = 1, .local_blocks = blocks, .timeout_ms = 50,
				    .remote_blocks = blocks, .block_count = 3 };
	struct tandem_operation read = { 0 };
	struct pair *pair = *state;
	struct rogue rogue;

	rogue_connect(pair, &rogue);
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &read), 0);
	assert_int_equal(pair_wait(pair, &read), -ETIMEDOUT);
	await_close(pair, rogue.fd);
	close(rogue.fd);
	pair_check(pair);
}

/* In the middle of the bytes of a frame. */
static void test_cut_off(void **state)
{
	struct tcp_head head = { .entries = 1, .bytes = 4096 };
	struct tcp_entry entry = { .length = 4096, .transfer = 1, .blocks = 1 };
	struct tandem_operation received = { 0 };
	uint8_t frame[TCP_HEAD_BYTES + 1];
	struct pair *pair = *state;
	struct rogue rogue;

	rogue_connect(pair, &rogue);
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &received), 0);
	tcp_head_encode(&head, frame);
	tcp_entry_encode(&entry, frame, 0);
	frame[TCP_HEAD_BYTES] = pair->shadow[1][0];
	assert_int_equal(send(rogue.fd, frame, sizeof(frame), 0), sizeof(frame));
	pair_run(pair, 20);
	assert_true(received.pending);
	close(rogue.fd);
	assert_int_equal(pair_wait(pair, &received), -ECONNRESET);
	pair_check(pair);
}

/* It keeps our side waiting: the deadline ends that, with all that was sent. */
static void test_never_acknowledges(void **state)
{
	uint32_t blocks[] = { 1, 2, 3 };
	struct tandem_push push = { .transfer = 1, .layer_count = 1, .local_blocks = blocks,
				    .remote_blocks = blocks, .block_count = 3 };
	struct tandem_operation sent = { 0 };
	struct pair *pair = *state;
	struct rogue rogue;

	rogue_connect(pair, &rogue);
	pair->connection[1]->timeout_ms = 100;
	assert_int_equal(tandem_push_start(pair->connection[1], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), -ETIMEDOUT);
	await_close(pair, rogue.fd);
	close(rogue.fd);
}

/* A caller with a wrong token is nobody; the one with the right one is served. */
static void test_wrong_token(void **state)
{
	uint8_t token[TCP_TOKEN_BYTES];
	struct pair *pair = *state;
	struct rogue rogue;
	int wrong;

	rogue_introduce(pair, &rogue, 1);
	memcpy(token, rogue.endpoint.token, sizeof(token));
	token[15] ^= 1;
	rogue.fd = wrong = dial(&rogue.endpoint);
	greet(&rogue, token, 0, 1);
	await_close(pair, wrong);
	close(wrong);
	rogue.fd = dial(&rogue.endpoint);
	greet(&rogue, rogue.endpoint.token, 1, 1);
	await_close(pair, rogue.fd);
	close(rogue.fd);
	rogue.fd = dial(&rogue.endpoint);
	greet(&rogue, rogue.endpoint.token, 0, 1);
	receive(pair, rogue.fd, token, sizeof(token));
	/* There is but one of each stream. */
	wrong = rogue.fd;
	rogue.fd = dial(&rogue.endpoint);
	greet(&rogue, rogue.endpoint.token, 0, 1);
	await_close(pair, rogue.fd);
	close(rogue.fd);
	close(wrong);
}

/* Who answers has to know our token as well. */
static void test_wrong_answer(void **state)
{
	struct tcp_endpoint endpoint = { .streams = 1, .address_count = 1 };
	struct xfer_description description = { .transport = TANDEM_TRANSPORT_TCP,
						.layout = pair_layout[0] };
	struct sockaddr_in *address = (struct sockaddr_in *)&endpoint.addresses[0];
	uint8_t bytes[TANDEM_DESCRIPTION_MAX], greeting[TCP_GREETING_BYTES];
	struct tandem_operation received = { 0 };
	socklen_t length = sizeof(*address);
	struct pair *pair = *state;
	int fd, stream, size;

	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
	endpoint.port = ntohs(address->sin_port);
	/* The highest there is: our side dials. */
	memset(endpoint.token, 0xff, sizeof(endpoint.token));
	description.part_size = tcp_endpoint_encode(&endpoint, description.part);
	size = xfer_description_encode(&description, bytes, sizeof(bytes));
	pair->connection[1] = pair_connection(pair, 1);
	assert_int_equal(tandem_connection_connect(pair->connection[1], bytes, size, NULL), 0);
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &received), 0);
	pair_run(pair, 10);
	stream = accept(fd, NULL, NULL);
	receive(pair, stream, greeting, sizeof(greeting));
	/* Its own words are not an answer. */
	assert_int_equal(send(stream, greeting, sizeof(greeting), 0), sizeof(greeting));
	assert_int_equal(pair_wait(pair, &received), -EPROTO);
	close(stream);
	close(fd);
}

static void test_nobody_there(void **state)
{
	struct tandem_operation received = { 0 };
	struct pair *pair = *state;
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	struct tcp_endpoint mine, other;
	int side, size;

	/* Which of both dials is chance; the other one is closed. */
	pair->connection[0] = pair_connection(pair, 0);
	pair->connection[1] = pair_connection(pair, 1);
	read_endpoint(pair->connection[0], &mine);
	read_endpoint(pair->connection[1], &other);
	side = memcmp(mine.token, other.token, TCP_TOKEN_BYTES) > 0;
	size = tandem_connection_describe(pair->connection[!side], bytes, sizeof(bytes));
	tandem_connection_close(pair->connection[!side]);
	pair->connection[!side] = NULL;
	assert_int_equal(tandem_connection_connect(pair->connection[side], bytes, size, NULL), 0);
	assert_int_equal(tandem_expect_start(pair->connection[side], 1, 1, 0, &received), 0);
	size = pair_wait(pair, &received);
	/* They had one listener, which the remaining side still has. */
	assert_true(size == -ECONNREFUSED || size == -ECONNRESET);
}

/* More strangers than there is room for, who say nothing. */
static void test_crowd(void **state)
{
	enum { CROWD = 600 };
	struct rlimit limit;
	uint32_t blocks[] = { 1, 2, 3 };
	struct tandem_push push = { .transfer = 1, .layer_count = 1, .local_blocks = blocks,
				    .remote_blocks = blocks, .block_count = 3 };
	struct tcp_endpoint endpoint;
	struct pair *pair = *state;
	int crowd[CROWD], i;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 4 * CROWD) {
		limit.rlim_cur = 4 * CROWD;
		if (limit.rlim_max < limit.rlim_cur || setrlimit(RLIMIT_NOFILE, &limit) < 0)
			skip();
	}
	pair->connection[0] = pair_connection(pair, 0);
	pair->connection[1] = pair_connection(pair, 1);
	read_endpoint(pair->connection[0], &endpoint);
	for (i = 0; i < CROWD; i++) {
		crowd[i] = dial(&endpoint);
		if (i % 50 == 0)
			pair_run(pair, 1);
	}
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
	pair_push_and_check(pair, &push);
	/* The first ones have been shut out. */
	await_close(pair, crowd[0]);
	for (i = 0; i < CROWD; i++)
		close(crowd[i]);
}

/* Who has greeted is missed at once, even by a side that has yet to be connected. */
static void test_gone_before_all_is_up(void **state)
{
	struct tandem_operation received = { 0 };
	struct pair *pair = *state;
	struct rogue rogue = { .pair = pair };
	struct tandem_error error;

	pair->connection[1] = pair_connection(pair, 1);
	read_endpoint(pair->connection[1], &rogue.endpoint);
	rogue.fd = dial(&rogue.endpoint);
	greet(&rogue, rogue.endpoint.token, 0, 1);
	pair_run(pair, 50);
	close(rogue.fd);
	pair_run(pair, 50);
	pair->connection[0] = pair_connection(pair, 0);
	{
		uint8_t bytes[TANDEM_DESCRIPTION_MAX];
		int size = tandem_connection_describe(pair->connection[0], bytes, sizeof(bytes));

		assert_int_equal(tandem_connection_connect(pair->connection[1], bytes, size,
							   &error), -ECONNRESET);
	}
	tandem_connection_close(pair->connection[1]);

	/* One of two streams, and the side waits for blocks. */
	rogue_introduce(pair, &rogue, 2);
	rogue.fd = dial(&rogue.endpoint);
	greet(&rogue, rogue.endpoint.token, 0, 2);
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &received), 0);
	pair_run(pair, 50);
	close(rogue.fd);
	assert_int_equal(pair_wait(pair, &received), -ECONNRESET);
}

/* Nothing is accepted while there are no descriptors left; then it is, unasked. */
static void test_no_descriptors(void **state)
{
	uint8_t answer[TCP_GREETING_BYTES];
	struct rlimit before, now;
	struct pair *pair = *state;
	struct tcp_greeting greeting;
	struct rogue rogue;

	rogue_introduce(pair, &rogue, 1);
	pair_run(pair, 10);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	rogue.fd = dial(&rogue.endpoint);
	greet(&rogue, rogue.endpoint.token, 0, 1);
	now = before;
	now.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	pair_run(pair, 50);
	assert_true(recv(rogue.fd, answer, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	receive(pair, rogue.fd, answer, sizeof(answer));
	assert_int_equal(tcp_greeting_decode(answer, &greeting), 0);
	close(rogue.fd);
}

static void test_options(void **state)
{
	struct tandem_connection_options options = { .transport = TANDEM_TRANSPORT_TCP };
	struct tandem_connection *one, *two;
	struct tcp_endpoint first, second;
	struct tandem_error error = { 0 };
	struct pair *pair = *state;

	options.streams = 17;
	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options, &one,
						&error), -EINVAL);
	options.streams = 3;
	options.port = 65536;
	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options, &one,
						&error), -EINVAL);
	options.port = 0;
	options.address = "nowhere";
	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options, &one,
						&error), -EINVAL);
	assert_non_null(strstr(error.message, "nowhere"));
	options.address = "203.0.113.77";
	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options, &one,
						&error), -EADDRNOTAVAIL);
	options.address = "0.0.0.0";
	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options, &one,
						&error), 0);
	read_endpoint(one, &first);
	assert_int_equal(first.streams, 3);
	assert_true(first.address_count >= 1);
	/* The same port for both sides of one loop, if it is asked for. */
	options.address = NULL;
	options.port = first.port;
	tandem_connection_close(one);
	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options, &one,
						&error), 0);
	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[1], &options, &two,
						&error), 0);
	read_endpoint(one, &first);
	read_endpoint(two, &second);
	assert_int_equal(first.port, options.port);
	assert_int_equal(second.port, options.port);
	assert_memory_not_equal(first.token, second.token, TCP_TOKEN_BYTES);
	tandem_connection_close(one);
	tandem_connection_close(two);
}

/* The least suitable moment: what has been sent is still under way. */
static void close_both(struct tandem_operation *op)
{
	struct pair *pair = op->user;
	int side;

	for (side = 0; side < 2; side++) {
		tandem_connection_close(pair->connection[side]);
		pair->connection[side] = NULL;
	}
}

static void test_closed_in_callback(void **state)
{
	struct tandem_operation timer = { .done = close_both }, sent = { 0 };
	uint32_t blocks[] = { 1, 2, 3 };
	struct tandem_push push = { .transfer = 1, .layer_count = 3, .local_blocks = blocks,
				    .remote_blocks = blocks, .block_count = 3 };
	struct pair *pair = *state;
	int round;

	for (round = 0; round < 20; round++) {
		pair_connect(pair);
		pair_run(pair, round % 3);
		timer.user = pair;
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
		assert_int_equal(tandem_timer_start(pair->loop, round % 2, &timer), 0);
		pair_wait(pair, &timer);
		assert_false(sent.pending);
		assert_null(pair->connection[0]);
	}
}

int main(void)
{
#define TCP_TEST(name)	cmocka_unit_test_setup_teardown(name, setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		TCP_TEST(test_garbage),
		TCP_TEST(test_outside_of_the_pool),
		TCP_TEST(test_frame_left_out),
		TCP_TEST(test_acknowledges_what_was_not_sent),
		TCP_TEST(test_many_entries_of_nothing),
		TCP_TEST(test_requests_what_is_outside_of_the_pool),
		TCP_TEST(test_requests_without_end),
		TCP_TEST(test_answers_unasked),
		TCP_TEST(test_answers_otherwise),
		TCP_TEST(test_never_answers),
		TCP_TEST(test_notes_about_offers),
		TCP_TEST(test_cut_off),
		TCP_TEST(test_never_acknowledges),
		TCP_TEST(test_wrong_token),
		TCP_TEST(test_wrong_answer),
		TCP_TEST(test_nobody_there),
		TCP_TEST(test_crowd),
		TCP_TEST(test_gone_before_all_is_up),
		TCP_TEST(test_no_descriptors),
		TCP_TEST(test_options),
		TCP_TEST(test_closed_in_callback),
	};
#undef TCP_TEST

	return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
