// SPDX-License-Identifier: MIT
/*
 * The local transport between processes against a side that is not what it should be:
 * played by the test, over a socket of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pair.h"

#include "runtime/xfer_ipc.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
/* Where the endpoint is in the transport's part of a description. */
#define AT_ENDPOINT	24
#define MEMORY_BYTES	(1u << 20)
#define BLOCK_BYTES	1024u
#define LARGE_BYTES	(32u << 20)

/**
 * struct fake - a side played by the test
 * @pair: whose side 1 is the real one
 * @received: what the real side waits for, or offers
 * @generation: of the offer
 * @endpoint: of the real side
 * @fd: the socket to it
 * @memory: what it is given to read
 * @bytes: the same, mapped
 */
struct fake {
	struct pair pair;
	struct tandem_operation received;
	uint64_t generation;
	struct ipc_endpoint endpoint;
	int fd;
	int memory;
	uint8_t *bytes;
};

static int sealed_memory(int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MEMORY_BYTES), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static struct tandem_connection *open_real(struct fake *fake, bool grants)
{
	struct tandem_connection_options options = pair_options();
	struct tandem_connection *connection;

	options.grants = grants;
	assert_int_equal(tandem_connection_open(fake->pair.loop, fake->pair.pool[1], &options,
						&connection, NULL), 0);
	return connection;
}

static const uint32_t offered[] = { 5, 6 };

/* Have the real side expect two blocks, or offer them. */
static void start_real(struct fake *fake, bool grants)
{
	struct tandem_connection *real = fake->pair.connection[1];
	struct tandem_offer offer = {
		.layer_count = 1,
		.blocks = offered,
		.block_count = 2,
		.reads = 100,
	};

	if (!grants) {
		assert_int_equal(tandem_expect_start(real, 7, 2, 0, &fake->received), 0);
		return;
	}
	assert_int_equal(tandem_offer_start(real, &offer, &fake->received), 0);
	fake->generation = offer.generation;
}

/* Have the real side take in a description of one whose turn it is to call. */
static int setup_with(void **state, bool grants)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	struct tandem_connection *real;
	struct xfer_description description;
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	struct ipc_endpoint endpoint;
	struct tandem_error error = { 0 };
	int size;

	assert_non_null(fake);
	pair_open(&fake->pair, pair_layout);
	real = fake->pair.connection[1] = open_real(fake, grants);
	size = tandem_connection_describe(real, bytes, sizeof(bytes));
	assert_int_equal(xfer_description_decode(bytes, size, &description, NULL), 0);
	assert_int_equal(ipc_endpoint_decode(description.part + AT_ENDPOINT, &fake->endpoint), 0);
	endpoint = fake->endpoint;
	memset(endpoint.token, 0, IPC_TOKEN_BYTES);
	ipc_endpoint_encode(&endpoint, description.part + AT_ENDPOINT);
	description.part[0]++;
	description.layout.blocks = pair_layout[0].blocks;
	size = xfer_description_encode(&description, bytes, sizeof(bytes));
	if (tandem_connection_connect(real, bytes, size, &error) < 0)
		fail_msg("%s", error.message);
	start_real(fake, grants);
	fake->fd = -1;
	fake->memory = sealed_memory(F_SEAL_SHRINK);
	fake->bytes = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fake->memory, 0);
	assert_ptr_not_equal(fake->bytes, MAP_FAILED);
	memset(fake->bytes, 0x5a, MEMORY_BYTES);
	*state = fake;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, false);
}

static int grants_setup(void **state)
{
	return setup_with(state, true);
}

static int teardown(void **state)
{
	struct fake *fake = *state;

	if (fake->fd >= 0)
		close(fake->fd);
	munmap(fake->bytes, MEMORY_BYTES);
	close(fake->memory);
	pair_close(&fake->pair);
	free(fake);
	return 0;
}

static void call(struct fake *fake)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
			      "tandem-%016" PRIx64, fake->endpoint.name);

	fake->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(fake->fd >= 0);
	assert_int_equal(connect(fake->fd, (struct sockaddr *)&address,
				 offsetof(struct sockaddr_un, sun_path) + 1 + length), 0);
}

static void say(struct fake *fake, uint16_t kind, uint32_t count, uint8_t *message, size_t size,
		int file)
{
	const struct ipc_head head = { .kind = kind, .count = count };

	ipc_head_encode(&head, message);
	assert_int_equal(ipc_socket_send(fake->fd, message, size, file), 0);
}

static void greet(struct fake *fake)
{
	uint8_t message[IPC_GREETING_BYTES];

	memcpy(message + IPC_HEAD_BYTES, fake->endpoint.token, IPC_TOKEN_BYTES);
	say(fake, IPC_GREETING, 1, message, sizeof(message), -1);
}

static void give_memory(struct fake *fake, uint64_t bytes, int file)
{
	uint8_t message[IPC_MEMORY_BYTES];

	xfer_put64(message + IPC_HEAD_BYTES, bytes);
	say(fake, IPC_MEMORY, 1, message, sizeof(message), file);
}

/* What the real side says next. */
static ssize_t hear(struct fake *fake, uint8_t *message, int *file)
{
	ssize_t size;

	while ((size = ipc_socket_receive(fake->fd, message, file)) == -EAGAIN)
		tandem_loop_run(fake->pair.loop, 1);
	return size;
}

static void come_up(struct fake *fake)
{
	uint8_t message[IPC_MESSAGE_BYTES];
	int file;

	call(fake);
	greet(fake);
	/* A greeting with the token that it was told of, and memory that can be read only. */
	assert_int_equal(hear(fake, message, NULL), IPC_GREETING_BYTES);
	for (unsigned int i = 0; i < IPC_TOKEN_BYTES; i++)
		assert_int_equal(message[IPC_HEAD_BYTES + i], 0);
	assert_int_equal(hear(fake, message, &file), IPC_MEMORY_BYTES);
	assert_true(file >= 0);
	assert_ptr_equal(mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
			 MAP_FAILED);
	close(file);
	give_memory(fake, MEMORY_BYTES, fake->memory);
}

static void say_write(struct fake *fake, const struct ipc_entry *entry)
{
	uint8_t message[IPC_HEAD_BYTES + IPC_ENTRY_BYTES];

	ipc_entry_encode(entry, message, 0);
	say(fake, IPC_WRITES, 1, message, sizeof(message), -1);
}

static const struct ipc_entry good_entry = {
	.source = 3 * BLOCK_BYTES,
	.destination = 5 * BLOCK_BYTES,
	.length = 2 * BLOCK_BYTES,
	.transfer = 7,
	.blocks = 2,
};

/* The connection ends like this, and no byte of the pool has changed. */
static void ends(struct fake *fake, int result)
{
	assert_int_equal(pair_wait(&fake->pair, &fake->received), result);
	pair_check(&fake->pair);
}

static void test_good(void **state)
{
	uint8_t message[IPC_MESSAGE_BYTES];
	struct fake *fake = *state;
	struct ipc_head head;
	ssize_t size;

	come_up(fake);
	say_write(fake, &good_entry);
	memset(fake->pair.shadow[1] + good_entry.destination, 0x5a, good_entry.length);
	ends(fake, 0);
	size = hear(fake, message, NULL);
	assert_int_equal(ipc_head_decode(message, size, &head), 0);
	assert_int_equal(head.kind, IPC_DONE);
	assert_int_equal(head.count, 1);
}

static void test_wrong_token(void **state)
{
	uint8_t message[IPC_MESSAGE_BYTES];
	struct fake *fake = *state;

	call(fake);
	fake->endpoint.token[3] ^= 1;
	greet(fake);
	fake->endpoint.token[3] ^= 1;
	assert_int_equal(hear(fake, message, NULL), 0);
	close(fake->fd);

	/* Somebody who says nothing, and then the right one. */
	call(fake);
	close(fake->fd);
	come_up(fake);
	say_write(fake, &good_entry);
	memset(fake->pair.shadow[1] + good_entry.destination, 0x5a, good_entry.length);
	ends(fake, 0);
}

static void test_bad_memory(void **state)
{
	const int memory = sealed_memory(F_SEAL_SHRINK), unsealed = sealed_memory(0);
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct fake *fake = *state;
	const struct {
		uint64_t bytes;
		int file;
	} cases[] = {
		{ MEMORY_BYTES, -1 },
		{ MEMORY_BYTES, unsealed },
		{ MEMORY_BYTES, null },
		{ 2 * MEMORY_BYTES, memory },
		{ BLOCK_BYTES * 3 * pair_layout[0].blocks - 1, memory },
		{ UINT64_MAX, memory },
		{ 0, memory },
	};

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		if (i) {
			teardown(state);
			setup(state);
			fake = *state;
		}
		call(fake);
		greet(fake);
		give_memory(fake, cases[i].bytes, cases[i].file);
		ends(fake, -EPROTO);
	}
	close(null);
	close(unsealed);
	close(memory);
}

static void test_writes_before_memory(void **state)
{
	struct fake *fake = *state;

	call(fake);
	greet(fake);
	say_write(fake, &good_entry);
	ends(fake, -EPROTO);
}

static void test_bad_entries(void **state)
{
	const uint64_t remote = BLOCK_BYTES * 3ull * pair_layout[0].blocks;
	const uint64_t local = BLOCK_BYTES * 3ull * pair_layout[1].blocks;
	struct ipc_entry entries[12];
	struct fake *fake;

	for (unsigned int i = 0; i < COUNT(entries); i++)
		entries[i] = good_entry;
	entries[0].source = remote - entries[0].length + 1;
	entries[1].source = UINT64_MAX - 5;
	entries[2].destination = local - entries[2].length + 1;
	entries[3].destination = UINT64_MAX - 5;
	entries[4].length = 0;
	entries[5].length = remote + 1;
	entries[6].length = UINT64_MAX;
	entries[7].transfer = XFER_TRANSFERS;
	entries[8].transfer = UINT32_MAX;
	entries[9].blocks = 0;
	entries[10].blocks = XFER_WRITE_BLOCKS_MAX + 1;
	entries[11].generation = 1;
	for (unsigned int i = 0; i < COUNT(entries); i++) {
		if (i) {
			teardown(state);
			setup(state);
		}
		fake = *state;
		come_up(fake);
		say_write(fake, &entries[i]);
		ends(fake, entries[i].generation ? -EACCES : -EPROTO);
	}
}

/* Messages that are none: a good one with these bytes changed, or of this size. */
static void test_bad_messages(void **state)
{
	static const struct {
		uint16_t kind;
		uint32_t count;
		size_t size;
		size_t at;
	} cases[] = {
		{ IPC_WRITES, 1, IPC_HEAD_BYTES + IPC_ENTRY_BYTES, 0 },
		{ IPC_WRITES, 1, IPC_HEAD_BYTES + IPC_ENTRY_BYTES, 4 },
		{ IPC_WRITES, 1, IPC_HEAD_BYTES + IPC_ENTRY_BYTES, 12 },
		{ IPC_WRITES, 1, IPC_HEAD_BYTES + IPC_ENTRY_BYTES - 1, SIZE_MAX },
		{ IPC_WRITES, 1, IPC_HEAD_BYTES + 2 * IPC_ENTRY_BYTES, SIZE_MAX },
		{ IPC_WRITES, 0, IPC_HEAD_BYTES, SIZE_MAX },
		{ IPC_WRITES, IPC_ENTRIES + 1, IPC_MESSAGE_BYTES + IPC_ENTRY_BYTES, SIZE_MAX },
		{ IPC_WRITES, UINT32_MAX, IPC_HEAD_BYTES, SIZE_MAX },
		{ IPC_DONE, 1, IPC_HEAD_BYTES, SIZE_MAX },
		{ IPC_DONE, 0, IPC_HEAD_BYTES, SIZE_MAX },
		{ IPC_READS, 1, IPC_HEAD_BYTES + IPC_ENTRY_BYTES, SIZE_MAX },
		{ IPC_READS, 0, IPC_HEAD_BYTES, SIZE_MAX },
		{ IPC_READS, 2, IPC_HEAD_BYTES + IPC_ENTRY_BYTES, SIZE_MAX },
		{ IPC_ANSWER, 1, IPC_ANSWER_BYTES, SIZE_MAX },
		{ IPC_ANSWER, 1, IPC_HEAD_BYTES, SIZE_MAX },
		{ IPC_ANSWER, IPC_ENTRIES + 1, IPC_ANSWER_BYTES, SIZE_MAX },
		{ IPC_READ, 1, IPC_HEAD_BYTES, SIZE_MAX },
		{ IPC_READ, 0, IPC_HEAD_BYTES, SIZE_MAX },
		{ IPC_NOTE, 1, IPC_NOTE_BYTES, SIZE_MAX },
		{ IPC_NOTE, 2, IPC_NOTE_BYTES, SIZE_MAX },
		{ IPC_GREETING, 1, IPC_GREETING_BYTES, SIZE_MAX },
		{ IPC_MEMORY, 1, IPC_MEMORY_BYTES, SIZE_MAX },
		{ 0, 1, IPC_HEAD_BYTES, SIZE_MAX },
		{ 99, 1, IPC_HEAD_BYTES, SIZE_MAX },
		{ IPC_WRITES, 1, 3, SIZE_MAX },
	};
	uint8_t message[IPC_MESSAGE_BYTES + IPC_ENTRY_BYTES];
	struct ipc_head head;
	struct fake *fake;

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		if (i) {
			teardown(state);
			setup(state);
		}
		fake = *state;
		come_up(fake);
		memset(message, 0, sizeof(message));
		ipc_entry_encode(&good_entry, message, 0);
		head.kind = cases[i].kind;
		head.count = cases[i].count;
		ipc_head_encode(&head, message);
		if (cases[i].at != SIZE_MAX)
			message[cases[i].at] ^= 0xff;
		assert_int_equal(ipc_socket_send(fake->fd, message, cases[i].size, -1), 0);
		ends(fake, -EPROTO);
	}
}

/* Files that nobody asked for are refused, and not kept. */
static void test_unwanted_file(void **state)
{
	uint8_t message[IPC_HEAD_BYTES + IPC_ENTRY_BYTES];
	struct fake *fake = *state;
	int before, after;

	come_up(fake);
	ipc_entry_encode(&good_entry, message, 0);
	before = dup(fake->memory);
	close(before);
	say(fake, IPC_WRITES, 1, message, sizeof(message), fake->memory);
	ends(fake, -EPROTO);
	after = dup(fake->memory);
	close(after);
	/* The real side's socket is closed meanwhile. */
	assert_true(after <= before);
}

/* What was read when the other side had shut its end is not taken for blocks that came. */
static void test_shut_while_copying(void **state)
{
	struct tandem_operation fill = { 0 };
	struct fake *fake = *state;
	struct ipc *ipc = fake->pair.connection[1]->transport;
	struct tandem_memory *memory;

	/* Something that keeps the device from the copy until the end has been shut. */
	assert_int_equal(tandem_memory_alloc(fake->pair.device[1], LARGE_BYTES, &memory, NULL), 0);
	come_up(fake);
	assert_int_equal(tandem_fill(ipc->queue, memory, 0, LARGE_BYTES, 1, &fill), 0);
	say_write(fake, &good_entry);
	while (!ipc->copy_count && fake->received.pending)
		tandem_loop_run(fake->pair.loop, 0);
	assert_int_equal(ipc->copy_count, 1);
	/* The copy is told of before the loop has found that out by itself. */
	loop_poll_stop(ipc->poll);
	ipc->poll = NULL;
	shutdown(fake->fd, SHUT_WR);
	assert_int_equal(pair_wait(&fake->pair, &fake->received), -ECONNRESET);
	assert_int_equal(pair_wait(&fake->pair, &fill), 0);
	tandem_memory_free(memory);
}

/* Ask whether two ranges may be read. Return: the bits of the answer. */
static unsigned int ask(struct fake *fake, const struct ipc_entry *one,
			const struct ipc_entry *other)
{
	uint8_t message[IPC_MESSAGE_BYTES];
	struct ipc_head head;
	ssize_t size;

	ipc_entry_encode(one, message, 0);
	ipc_entry_encode(other, message, 1);
	say(fake, IPC_READS, 2, message, IPC_HEAD_BYTES + 2 * IPC_ENTRY_BYTES, -1);
	size = hear(fake, message, NULL);
	assert_int_equal(ipc_head_decode(message, size, &head), 0);
	assert_int_equal(head.kind, IPC_ANSWER);
	assert_int_equal(head.count, 2);
	return message[IPC_HEAD_BYTES];
}

static struct ipc_entry good_read(const struct fake *fake)
{
	struct ipc_entry entry = {
		.source = offered[0] * BLOCK_BYTES,
		.length = 2 * BLOCK_BYTES,
		.generation = fake->generation,
	};

	return entry;
}

static void say_read(struct fake *fake, uint32_t count)
{
	uint8_t message[IPC_HEAD_BYTES];

	say(fake, IPC_READ, count, message, sizeof(message), -1);
}

/* What may be read is what is offered, under its number; and more is said than there was. */
static void test_reads_are_answered(void **state)
{
	struct fake *fake = *state;
	const struct ipc_entry good = good_read(fake);
	struct ipc_entry wrong = good;

	come_up(fake);
	assert_int_equal(ask(fake, &good, &good), 3);
	wrong.generation++;
	assert_int_equal(ask(fake, &good, &wrong), 1);
	assert_int_equal(ask(fake, &wrong, &wrong), 0);
	wrong = good;
	wrong.length++;
	assert_int_equal(ask(fake, &wrong, &good), 2);
	wrong = good;
	wrong.source--;
	assert_int_equal(ask(fake, &wrong, &good), 2);
	/* Of one nothing was allowed. */
	say_read(fake, 4);
	pair_run(&fake->pair, 20);
	assert_true(fake->received.pending);
	say_read(fake, 1);
	ends(fake, -EPROTO);
}

static void test_reads_outside(void **state)
{
	const uint64_t bytes = BLOCK_BYTES * 3ull * pair_layout[1].blocks;
	uint8_t message[IPC_HEAD_BYTES + IPC_ENTRY_BYTES];
	struct ipc_entry entries[4];
	struct fake *fake;

	for (unsigned int i = 0; i < COUNT(entries); i++) {
		if (i) {
			teardown(state);
			grants_setup(state);
		}
		fake = *state;
		for (unsigned int k = 0; k < COUNT(entries); k++)
			entries[k] = good_read(fake);
		entries[0].length = 0;
		entries[1].length = bytes + 1;
		entries[2].source = bytes - 1;
		entries[3].source = UINT64_MAX;
		come_up(fake);
		ipc_entry_encode(&entries[i], message, 0);
		say(fake, IPC_READS, 1, message, sizeof(message), -1);
		ends(fake, -EPROTO);
	}
}

static void hear_note(struct fake *fake, enum xfer_note_kind kind)
{
	uint8_t message[IPC_MESSAGE_BYTES];
	struct xfer_note note;

	assert_int_equal(hear(fake, message, NULL), IPC_NOTE_BYTES);
	assert_int_equal(xfer_note_decode(message + IPC_HEAD_BYTES, &note), 0);
	assert_int_equal(note.kind, kind);
}

/* An offer does not end as long as something reads by it, whatever the reader says. */
static void test_offer_outlasts_reads(void **state)
{
	struct fake *fake = *state;
	const struct ipc_entry good = good_read(fake);
	const struct xfer_note withdrawn = {
		.kind = XFER_NOTE_WITHDRAWN,
		.generation = fake->generation,
	};
	uint8_t message[IPC_NOTE_BYTES];

	come_up(fake);
	assert_int_equal(ask(fake, &good, &good), 3);
	assert_int_equal(tandem_cancel(fake->pair.loop, &fake->received), 0);
	hear_note(fake, XFER_NOTE_WITHDRAW);
	xfer_note_encode(&withdrawn, message + IPC_HEAD_BYTES);
	say(fake, IPC_NOTE, 1, message, sizeof(message), -1);
	pair_run(&fake->pair, 20);
	assert_true(fake->received.pending);
	say_read(fake, 1);
	ends(fake, -ECANCELED);
}

int main(void)
{
#define GRANTS_TEST(name) cmocka_unit_test_setup_teardown(name, grants_setup, teardown)
#define IPC_TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		IPC_TEST(test_good),
		IPC_TEST(test_wrong_token),
		IPC_TEST(test_bad_memory),
		IPC_TEST(test_writes_before_memory),
		IPC_TEST(test_bad_entries),
		IPC_TEST(test_bad_messages),
		IPC_TEST(test_unwanted_file),
		IPC_TEST(test_shut_while_copying),
		GRANTS_TEST(test_reads_are_answered),
		GRANTS_TEST(test_reads_outside),
		GRANTS_TEST(test_offer_outlasts_reads),
	};
#undef GRANTS_TEST
#undef IPC_TEST

	pair_kind = pair_kinds;
	return cmocka_run_group_tests_name("local between processes", tests, NULL, NULL);
}
