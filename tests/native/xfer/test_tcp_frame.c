// SPDX-License-Identifier: MIT
/*
 * What the tcp transport says on the wire: read back as written, and refused
 * when a peer writes something else.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/xfer.h"
#include "runtime/xfer_tcp_frame.h"

#define LIMIT	10000u

static void encode(uint8_t *frame, const struct tcp_entry *entries, unsigned int count)
{
	struct tcp_head head = { .entries = count, .acknowledged = 3, .number = 1ull << 40 };
	unsigned int i;

	for (i = 0; i < count; i++) {
		tcp_entry_encode(&entries[i], frame, i);
		head.bytes += entries[i].length;
	}
	tcp_head_encode(&head, frame);
}

static void test_frame(void **state)
{
	static const struct tcp_entry entries[] = {
		{ .offset = 0, .length = LIMIT, .transfer = 65535, .blocks = 65535,
		  .generation = UINT64_MAX },
		{ .offset = LIMIT - 1, .length = 1, .transfer = 0, .blocks = 1 },
	};
	uint8_t frame[TCP_FRAME_BYTES_MAX];
	struct tcp_entry read[TCP_FRAME_ENTRIES];
	struct tcp_head head;

	(void)state;
	encode(frame, entries, 2);
	assert_int_equal(tcp_head_decode(frame, &head), 0);
	assert_int_equal(head.entries, 2);
	assert_int_equal(head.acknowledged, 3);
	assert_int_equal(head.number, 1ull << 40);
	assert_int_equal(head.bytes, LIMIT + 1);
	assert_int_equal(tcp_entries_decode(frame, &head, LIMIT, read), 0);
	assert_memory_equal(read, entries, sizeof(entries));
}

static void test_wrong_heads(void **state)
{
	static const struct tcp_entry entry = { .length = 1, .blocks = 1 };
	/* Magic, version, number of entries, padding, bytes: each of them counts. */
	static const unsigned int places[] = { 0, 1, 2, 3, 4, 5, 7, 12, 13, 14, 15 };
	uint8_t frame[TCP_FRAME_BYTES_MAX];
	struct tcp_head head = { 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		encode(frame, &entry, 1);
		frame[places[i]] ^= 0x40;
		assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
	}
	/* Nothing to say, bytes without entries, entries without bytes. */
	tcp_head_encode(&(struct tcp_head){ 0 }, frame);
	assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
	tcp_head_encode(&(struct tcp_head){ .acknowledged = 1, .bytes = 1 }, frame);
	assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
	tcp_head_encode(&(struct tcp_head){ .entries = 1 }, frame);
	assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
	tcp_head_encode(&(struct tcp_head){ .entries = TCP_FRAME_ENTRIES + 1, .bytes = 1 }, frame);
	assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
}

static void test_notes(void **state)
{
	static const struct xfer_note notes[] = {
		{ .kind = XFER_NOTE_STOP, .transfer = 7, .generation = 1ull << 60 },
		{ .kind = XFER_NOTE_STOPPED, .transfer = 65535 },
	};
	struct tcp_head head = { .kind = TCP_FRAME_NOTES, .entries = 2, .number = 3 };
	uint8_t frame[TCP_FRAME_BYTES_MAX];
	struct xfer_note read;
	unsigned int i;

	(void)state;
	tcp_head_encode(&head, frame);
	for (i = 0; i < 2; i++)
		xfer_note_encode(&notes[i], frame + TCP_ENTRIES_AT + i * TCP_ENTRY_BYTES);
	assert_int_equal(tcp_head_decode(frame, &head), 0);
	assert_int_equal(head.kind, TCP_FRAME_NOTES);
	assert_int_equal(head.entries, 2);
	for (i = 0; i < 2; i++) {
		assert_int_equal(xfer_note_decode(frame + TCP_ENTRIES_AT + i * TCP_ENTRY_BYTES, &read), 0);
		assert_int_equal(read.kind, notes[i].kind);
		assert_int_equal(read.transfer, notes[i].transfer);
		assert_int_equal(read.generation, notes[i].generation);
	}
	frame[TCP_HEAD_BYTES + TCP_ENTRY_BYTES - 1] = 1;
	assert_int_equal(xfer_note_decode(frame + TCP_ENTRIES_AT, &read), 0);
	assert_int_equal(xfer_note_decode(frame + TCP_HEAD_BYTES, &read), -EPROTO);
	/* There are some, and no bytes behind them. */
	tcp_head_encode(&(struct tcp_head){ .kind = TCP_FRAME_NOTES }, frame);
	assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
	tcp_head_encode(&(struct tcp_head){ .kind = TCP_FRAME_NOTES, .entries = 1, .bytes = 1 },
			frame);
	assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
}

/* Requests and refusals have the lengths of what they are about, and no bytes. */
static void test_kinds_without_bytes(void **state)
{
	static const uint32_t kinds[] = { TCP_FRAME_REQUESTS, TCP_FRAME_REFUSALS };
	static const struct tcp_entry entry = { .length = LIMIT, .transfer = 4, .blocks = 2 };
	struct tcp_entry read[TCP_FRAME_ENTRIES];
	uint8_t frame[TCP_FRAME_BYTES_MAX];
	struct tcp_head head;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		tcp_entry_encode(&entry, frame, 0);
		tcp_head_encode(&(struct tcp_head){ .kind = kinds[i], .entries = 1 }, frame);
		assert_int_equal(tcp_head_decode(frame, &head), 0);
		assert_int_equal(tcp_entries_decode(frame, &head, LIMIT, read), 0);
		assert_memory_equal(read, &entry, sizeof(entry));
		assert_int_equal(tcp_entries_decode(frame, &head, LIMIT - 1, read), -EPROTO);
		tcp_head_encode(&(struct tcp_head){ .kind = kinds[i], .entries = 1, .bytes = LIMIT },
				frame);
		assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
		tcp_head_encode(&(struct tcp_head){ .kind = kinds[i], .acknowledged = 1 }, frame);
		assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
	}
	tcp_head_encode(&(struct tcp_head){ .kind = TCP_FRAME_ANSWERS, .entries = 1 }, frame);
	assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
	tcp_head_encode(&(struct tcp_head){ .kind = TCP_FRAME_REFUSALS + 1, .entries = 1 }, frame);
	assert_int_equal(tcp_head_decode(frame, &head), -EPROTO);
}

static void entry_refused(struct tcp_entry entry)
{
	struct tcp_entry read[1];
	uint8_t frame[TCP_FRAME_BYTES_MAX];
	struct tcp_head head = { .entries = 1, .bytes = entry.length };

	tcp_entry_encode(&entry, frame, 0);
	assert_int_equal(tcp_entries_decode(frame, &head, LIMIT, read), -EPROTO);
}

static void test_wrong_entries(void **state)
{
	static const struct tcp_entry good = { .offset = 5, .length = 10, .transfer = 1,
					       .blocks = 1 };
	struct tcp_entry read[1];
	struct tcp_head head = { .entries = 1, .bytes = 10 };
	uint8_t frame[TCP_FRAME_BYTES_MAX];
	struct tcp_entry entry;

	(void)state;
#define REFUSED(member, value) do { \
		entry = good; \
		entry.member = value; \
		entry_refused(entry); \
	} while (0)
	REFUSED(offset, LIMIT - 9);
	REFUSED(offset, LIMIT + 1);
	REFUSED(offset, UINT64_MAX);
	REFUSED(offset, UINT64_MAX - 9);
	REFUSED(length, 0);
	REFUSED(length, LIMIT - 4);
	REFUSED(length, UINT64_MAX);
	REFUSED(transfer, 65536);
	REFUSED(blocks, 0);
	REFUSED(blocks, 65536);
#undef REFUSED
	tcp_entry_encode(&good, frame, 0);
	assert_int_equal(tcp_entries_decode(frame, &head, LIMIT, read), 0);
	head.bytes = 9;
	assert_int_equal(tcp_entries_decode(frame, &head, LIMIT, read), -EPROTO);
	head.bytes = 11;
	assert_int_equal(tcp_entries_decode(frame, &head, LIMIT, read), -EPROTO);
}

static void test_greeting(void **state)
{
	struct tcp_greeting greeting = { .stream = 2, .streams = 3, .token = "a token of 16 b" };
	uint8_t bytes[TCP_GREETING_BYTES];
	struct tcp_greeting read;
	unsigned int i;

	(void)state;
	tcp_greeting_encode(&greeting, bytes);
	assert_int_equal(tcp_greeting_decode(bytes, &read), 0);
	assert_memory_equal(&read, &greeting, sizeof(read));
	for (i = 0; i < 16; i++) {
		if (i >= 6 && i < 10)
			continue;
		tcp_greeting_encode(&greeting, bytes);
		bytes[i] ^= 1;
		assert_int_equal(tcp_greeting_decode(bytes, &read), -EPROTO);
	}
	greeting.stream = 3;
	tcp_greeting_encode(&greeting, bytes);
	assert_int_equal(tcp_greeting_decode(bytes, &read), -EPROTO);
	greeting.streams = TCP_STREAMS_MAX + 1;
	tcp_greeting_encode(&greeting, bytes);
	assert_int_equal(tcp_greeting_decode(bytes, &read), -EPROTO);
}

static void test_endpoint(void **state)
{
	struct tcp_endpoint endpoint = { .port = 1234, .streams = 5, .token = "token",
					 .address_count = 2 };
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&endpoint.addresses[1];
	struct sockaddr_in *four = (struct sockaddr_in *)&endpoint.addresses[0];
	uint8_t part[XFER_TRANSPORT_PART_MAX];
	struct tcp_endpoint read;
	size_t size;

	(void)state;
	four->sin_family = AF_INET;
	four->sin_port = htons(1234);
	four->sin_addr.s_addr = htonl(0xc0000201);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(1234);
	six->sin6_addr = in6addr_loopback;
	size = tcp_endpoint_encode(&endpoint, part);
	assert_int_equal(tcp_endpoint_decode(part, size, &read), 0);
	assert_int_equal(read.port, 1234);
	assert_int_equal(read.streams, 5);
	assert_int_equal(read.address_count, 2);
	assert_memory_equal(read.token, endpoint.token, sizeof(read.token));
	assert_memory_equal(read.addresses, endpoint.addresses, 2 * sizeof(*read.addresses));

	assert_int_equal(tcp_endpoint_decode(part, size - 1, &read), -EPROTO);
	assert_int_equal(tcp_endpoint_decode(part, 3, &read), -EPROTO);
#define REFUSED(at, value) do { \
		uint8_t changed[XFER_TRANSPORT_PART_MAX]; \
		memcpy(changed, part, size); \
		changed[at] = value; \
		assert_int_equal(tcp_endpoint_decode(changed, size, &read), -EPROTO); \
	} while (0)
	REFUSED(2, 0);		/* no streams */
	REFUSED(2, 17);		/* too many */
	REFUSED(4, 0);		/* addresses */
	REFUSED(4, 1);
	REFUSED(5, 1);
	REFUSED(6, 1);		/* padding */
	REFUSED(24, 5);		/* family */
	REFUSED(25, 1);		/* padding */
#undef REFUSED
	xfer_put16(part, 0);
	assert_int_equal(tcp_endpoint_decode(part, size, &read), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_wrong_heads),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_kinds_without_bytes),
		cmocka_unit_test(test_wrong_entries),
		cmocka_unit_test(test_greeting),
		cmocka_unit_test(test_endpoint),
	};

	return cmocka_run_group_tests_name("tcp frames", tests, NULL, NULL);
}
