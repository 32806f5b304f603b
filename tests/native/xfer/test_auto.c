// SPDX-License-Identifier: MIT
/*
 * The transport that is chosen: which it is, that both sides come to the same, what is
 * said of the others, and that nothing of these is left behind.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"
#include "runtime/xfer_auto.h"
#include "runtime/xfer_ipc.h"
#include "runtime/xfer_tcp_frame.h"
#include "runtime/xfer_verbs.h"

/* Where local's part has the endpoint for other processes: the layout is an ABI. */
#define LOCAL_ENDPOINT 24

static const struct pair_kind kind = {
	.name = "inproc over what is chosen",
	.device = { "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" },
	.transport = TANDEM_TRANSPORT_AUTO,
};

static int setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	xfer_ipc_always = false;
	pair_kind = &kind;
	pair_open(pair, pair_layout);
	*state = pair;
	return 0;
}

static void says(const struct tandem_connection *connection, enum tandem_transport transport,
		 const char *what)
{
	const char *reason = tandem_connection_transport_reason(connection, transport);

	assert_non_null(reason);
	if (!strstr(reason, what))
		fail_msg("\"%s\" does not say \"%s\"", reason, what);
	assert_memory_equal(reason, tandem_transport_name(transport),
			    strlen(tandem_transport_name(transport)));
}

/* Both sides have come to it, and blocks arrive. */
static void check_chosen(struct pair *pair, enum tandem_transport transport)
{
	uint32_t blocks[] = { 5, 6, 17 };
	const struct tandem_push push = {
		.transfer = 3,
		.layer_count = 3,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = 3,
	};

	for (int side = 0; side < 2; side++)
		assert_int_equal(tandem_connection_transport(pair->connection[side]), transport);
	pair_push_and_check(pair, &push);
}

static void test_one_loop(void **state)
{
	struct pair *pair = *state;

	pair->connection[0] = pair_connection(pair, 0);
	pair->connection[1] = pair_connection(pair, 1);
	assert_int_equal(tandem_connection_transport(pair->connection[0]), TANDEM_TRANSPORT_AUTO);
	assert_string_equal(
		tandem_connection_transport_reason(pair->connection[0], TANDEM_TRANSPORT_LOCAL), "");
	pair_introduce(pair->connection[0], pair->connection[1]);
	/* What has become of it by now is nothing to the other side. */
	pair_introduce(pair->connection[1], pair->connection[0]);
	check_chosen(pair, TANDEM_TRANSPORT_LOCAL);
	for (int side = 0; side < 2; side++) {
		says(pair->connection[side], TANDEM_TRANSPORT_LOCAL, "one loop of one process");
		says(pair->connection[side], TANDEM_TRANSPORT_TCP, "local comes first");
		assert_null(tandem_connection_transport_reason(pair->connection[side],
							       TANDEM_TRANSPORT_AUTO));
	}
}

static void test_no_verbs(void **state)
{
	struct tandem_connection_options options = pair_options();
	struct pair *pair = *state;

	options.rdma_device = "none_such";
	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options,
						&pair->connection[0], NULL),
			 0);
	pair->connection[1] = pair_connection(pair, 1);
	says(pair->connection[0], TANDEM_TRANSPORT_VERBS, "none_such");
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
	says(pair->connection[0], TANDEM_TRANSPORT_VERBS, "none_such");
	check_chosen(pair, TANDEM_TRANSPORT_LOCAL);
}

static void test_between_processes(void **state)
{
	struct pair *pair = *state;

	xfer_ipc_always = true;
	pair_connect(pair);
	check_chosen(pair, TANDEM_TRANSPORT_LOCAL);
	says(pair->connection[0], TANDEM_TRANSPORT_LOCAL, "one user on one machine");
	says(pair->connection[1], TANDEM_TRANSPORT_LOCAL, "one user on one machine");
}

/* Memory of the process: no device reaches it, and there is no NIC. */
static void test_one_side_has_tcp_alone(void **state)
{
	struct tandem_connection_options options = pair_options();
	struct tandem_xfer_memory memory[2] = { { .length = 1 << 16 }, { .length = 1 << 16 } };
	struct tandem_operation sent = { 0 }, received = { 0 };
	const struct tandem_push push = {
		.transfer = 1,
		.layer_count = 1,
		.local_stride = 1,
		.remote_stride = 1,
		.block_count = 16,
	};
	struct pair *pair = *state;
	int side;

	options.rdma_device = "none_such";
	memory[0].pointer = malloc(memory[0].length);
	assert_non_null(memory[0].pointer);
	memset(memory[0].pointer, 0xa5, memory[0].length);
	memory[1].memory = tandem_kv_pool_memory(pair->pool[1]);
	for (side = 0; side < 2; side++)
		assert_int_equal(tandem_connection_open_memory(pair->loop, &memory[side], &options,
							       &pair->connection[side], NULL),
				 0);
	says(pair->connection[0], TANDEM_TRANSPORT_LOCAL, "memory of devices only");
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
	for (side = 0; side < 2; side++) {
		assert_int_equal(tandem_connection_transport(pair->connection[side]),
				 TANDEM_TRANSPORT_TCP);
		says(pair->connection[side], TANDEM_TRANSPORT_TCP, "one network of one machine");
	}
	says(pair->connection[1], TANDEM_TRANSPORT_LOCAL, "the other side cannot use it");
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 16, 0, &received), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	assert_memory_equal(pair->bytes[1], memory[0].pointer, memory[0].length);
	tandem_connection_close(pair->connection[0]);
	pair->connection[0] = NULL;
	free(memory[0].pointer);
}

static unsigned int count_files(void)
{
	DIR *files = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(files);
	while (readdir(files))
		count++;
	closedir(files);
	return count;
}

/* As many files are open as if it had been named. */
static void test_nothing_left_open(void **state)
{
	struct pair_kind named = kind;
	struct pair *pair = *state;
	unsigned int count;

	named.transport = TANDEM_TRANSPORT_LOCAL;
	pair_kind = &named;
	pair_connect(pair);
	count = count_files();
	pair_kind = &kind;
	pair_reconnect(pair);
	check_chosen(pair, TANDEM_TRANSPORT_LOCAL);
	assert_int_equal(count_files(), count);
	/* Nor if it never comes to a choice. */
	tandem_connection_close(pair->connection[0]);
	tandem_connection_close(pair->connection[1]);
	count = count_files();
	pair->connection[0] = pair_connection(pair, 0);
	assert_true(count_files() > count);
	tandem_connection_close(pair->connection[0]);
	assert_int_equal(count_files(), count);
	memset(pair->connection, 0, sizeof(pair->connection));
}

static void describe(struct tandem_connection *connection, struct xfer_description *description,
		     struct xfer_auto_part *part)
{
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	int size = tandem_connection_describe(connection, bytes, sizeof(bytes));

	assert_true(size > 0);
	assert_int_equal(xfer_description_decode(bytes, size, description, NULL), 0);
	assert_int_equal(description->transport, TANDEM_TRANSPORT_AUTO);
	assert_int_equal(xfer_auto_part_decode(description->part, description->part_size, part), 0);
}

static int connect_to(struct tandem_connection *connection, struct xfer_description *description,
		      const struct xfer_auto_part *part, struct tandem_error *error)
{
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	int size;

	description->part_size = xfer_auto_part_encode(part, description->part);
	size = xfer_description_encode(description, bytes, sizeof(bytes));
	assert_true(size > 0);
	return tandem_connection_connect(connection, bytes, size, error);
}

/* Somebody calls by a transport that will not be chosen, and stays. */
static void test_called_by_another(void **state)
{
	struct xfer_description description;
	uint8_t bytes[TCP_GREETING_BYTES];
	struct tcp_greeting greeting = { .streams = 4 };
	struct pair *pair = *state;
	struct xfer_auto_part part;
	struct tcp_endpoint endpoint;
	int fd;

	pair->connection[0] = pair_connection(pair, 0);
	pair->connection[1] = pair_connection(pair, 1);
	describe(pair->connection[1], &description, &part);
	assert_int_equal(tcp_endpoint_decode(part.offers[TANDEM_TRANSPORT_TCP].part,
					     part.offers[TANDEM_TRANSPORT_TCP].part_size, &endpoint),
			 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&endpoint.addresses[0],
				 tcp_address_size(&endpoint.addresses[0])),
			 0);
	memcpy(greeting.token, endpoint.token, TCP_TOKEN_BYTES);
	tcp_greeting_encode(&greeting, bytes);
	assert_int_equal(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	pair_run(pair, 10);
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
	check_chosen(pair, TANDEM_TRANSPORT_LOCAL);
	close(fd);
}

static void test_not_with_one_that_is_named(void **state)
{
	struct pair_kind named = kind;
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	struct tandem_error error = { 0 };
	struct pair *pair = *state;

	pair->connection[0] = pair_connection(pair, 0);
	named.transport = TANDEM_TRANSPORT_TCP;
	pair_kind = &named;
	pair->connection[1] = pair_connection(pair, 1);
	for (int side = 0; side < 2; side++) {
		int size = tandem_connection_describe(pair->connection[side], bytes, sizeof(bytes));

		assert_int_equal(
			tandem_connection_connect(pair->connection[!side], bytes, size, &error),
			-EINVAL);
		assert_non_null(strstr(error.message, "auto"));
		assert_non_null(strstr(error.message, "tcp"));
	}
}

/* What fails can be tried again with what is right. */
static void test_none_reaches(void **state)
{
	struct xfer_description description;
	struct tandem_error error = { 0 };
	struct xfer_auto_part part, wrong;
	struct pair *pair = *state;

	pair->connection[0] = pair_connection(pair, 0);
	pair->connection[1] = pair_connection(pair, 1);
	describe(pair->connection[0], &description, &part);
	wrong = part;
	wrong.offers[TANDEM_TRANSPORT_LOCAL] = (struct xfer_auto_offer){ .code = ENOMEM };
	wrong.place.boot[0] ^= 1;
	assert_int_equal(connect_to(pair->connection[1], &description, &wrong, &error),
			 -EHOSTUNREACH);
	assert_non_null(strstr(error.message, "no transport reaches"));
	assert_non_null(strstr(error.message, "give it an address"));
	says(pair->connection[1], TANDEM_TRANSPORT_LOCAL, strerror(ENOMEM));
	/* One that is chosen, and then refuses. */
	wrong = part;
	wrong.offers[TANDEM_TRANSPORT_LOCAL].part[16] ^= 1;
	assert_int_equal(connect_to(pair->connection[1], &description, &wrong, &error),
			 -EHOSTUNREACH);
	assert_non_null(strstr(error.message, "has been closed"));
	/* Its part is none. */
	wrong = part;
	wrong.offers[TANDEM_TRANSPORT_TCP].part_size--;
	assert_int_equal(connect_to(pair->connection[1], &description, &wrong, &error), -EPROTO);
	assert_int_equal(tandem_connection_transport(pair->connection[1]), TANDEM_TRANSPORT_AUTO);

	assert_int_equal(connect_to(pair->connection[1], &description, &part, &error), 0);
	pair_introduce(pair->connection[1], pair->connection[0]);
	check_chosen(pair, TANDEM_TRANSPORT_LOCAL);
}

/*
 * The choice by itself, also of what this machine does not have
 */

static void set_verbs(struct xfer_auto_part *part, uint8_t link_layer, const char *address)
{
	struct verbs_endpoint endpoint = {
		.length = 1 << 20,
		.write_bytes = 1 << 20,
		.rail_count = 1,
		.rail_pairs = 1,
		.rails[0] = { .mtu = IBV_MTU_1024, .link_layer = link_layer, .reads = 1 },
	};
	struct xfer_auto_offer *offer = &part->offers[TANDEM_TRANSPORT_VERBS];

	assert_int_equal(inet_pton(AF_INET6, address, endpoint.rails[0].gid.raw), 1);
	offer->code = 0;
	offer->part_size = verbs_endpoint_encode(&endpoint, offer->part);
}

static void set_tcp(struct xfer_auto_part *part, const char *address)
{
	struct tcp_endpoint endpoint = { .port = 9, .streams = 1, .address_count = 1 };
	struct sockaddr_in *to = (struct sockaddr_in *)&endpoint.addresses[0];
	struct xfer_auto_offer *offer = &part->offers[TANDEM_TRANSPORT_TCP];

	to->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, address, &to->sin_addr), 1);
	offer->code = 0;
	offer->part_size = tcp_endpoint_encode(&endpoint, offer->part);
}

static void set_local(struct xfer_auto_part *part, const struct ipc_endpoint *endpoint)
{
	uint8_t *bytes = part->offers[TANDEM_TRANSPORT_LOCAL].part;

	/* Of another process. */
	bytes[0] ^= 1;
	ipc_endpoint_encode(endpoint, bytes + LOCAL_ENDPOINT);
	memcpy(part->place.boot, endpoint->boot, XFER_BOOT_BYTES);
	part->place.network = endpoint->network;
}

/* Both sides come to @transport, or a failure, and each says this of @of. */
static void chooses(const struct xfer_auto_part parts[2], int transport, enum tandem_transport of,
		    const char *here, const char *there)
{
	struct tandem_error reasons[2][XFER_AUTO_TRANSPORTS] = { 0 };

	for (int side = 0; side < 2; side++) {
		assert_int_equal(xfer_auto_choose(&parts[side], &parts[!side], reasons[side]),
				 transport);
		if (!strstr(reasons[side][of].message, side ? there : here))
			fail_msg("\"%s\" does not say \"%s\"", reasons[side][of].message,
				 side ? there : here);
	}
}

static void test_choices(void **state)
{
	struct xfer_auto_part base[2], parts[2];
	struct xfer_description description;
	struct ipc_endpoint endpoint, other;
	struct pair *pair = *state;

	for (int side = 0; side < 2; side++) {
		pair->connection[side] = pair_connection(pair, side);
		describe(pair->connection[side], &description, &base[side]);
		base[side].offers[TANDEM_TRANSPORT_VERBS] =
			(struct xfer_auto_offer){ .code = ENODEV };
		set_tcp(&base[side], side ? "192.0.2.2" : "192.0.2.1");
	}
	assert_int_equal(
		ipc_endpoint_decode(base[1].offers[TANDEM_TRANSPORT_LOCAL].part + LOCAL_ENDPOINT,
				    &endpoint),
		0);
#define BEGIN()                                     \
	do {                                        \
		memcpy(parts, base, sizeof(parts)); \
		other = endpoint;                   \
	} while (0)
#define BOTH(text) text, text

	BEGIN();
	chooses(parts, TANDEM_TRANSPORT_LOCAL, TANDEM_TRANSPORT_LOCAL, BOTH("one loop"));
	chooses(parts, TANDEM_TRANSPORT_LOCAL, TANDEM_TRANSPORT_TCP, BOTH("local comes first"));
	set_local(&parts[1], &other);
	chooses(parts, TANDEM_TRANSPORT_LOCAL, TANDEM_TRANSPORT_LOCAL, BOTH("one user"));
	parts[1].shareable = false;
	chooses(parts, TANDEM_TRANSPORT_TCP, TANDEM_TRANSPORT_LOCAL, "the other side's memory",
		"this side's memory");
	chooses(parts, TANDEM_TRANSPORT_TCP, TANDEM_TRANSPORT_TCP, BOTH("one network"));

	BEGIN();
	other.user++;
	set_local(&parts[1], &other);
	chooses(parts, TANDEM_TRANSPORT_TCP, TANDEM_TRANSPORT_LOCAL, BOTH("of user"));
	BEGIN();
	other.kind++;
	set_local(&parts[1], &other);
	chooses(parts, TANDEM_TRANSPORT_TCP, TANDEM_TRANSPORT_LOCAL, BOTH("accel"));
	BEGIN();
	other.network++;
	set_local(&parts[1], &other);
	chooses(parts, TANDEM_TRANSPORT_TCP, TANDEM_TRANSPORT_LOCAL, BOTH("network namespace"));

	/* Two machines from here on. */
	endpoint.boot[3] ^= 1;
	BEGIN();
	set_local(&parts[1], &other);
	memcpy(base, parts, sizeof(base));
	chooses(parts, TANDEM_TRANSPORT_TCP, TANDEM_TRANSPORT_LOCAL, BOTH("another machine"));
	chooses(parts, TANDEM_TRANSPORT_TCP, TANDEM_TRANSPORT_TCP, BOTH("each side listens"));
	set_tcp(&parts[0], "127.0.0.1");
	chooses(parts, -EHOSTUNREACH, TANDEM_TRANSPORT_TCP, "this side", "the other side");
	set_verbs(&parts[0], IBV_LINK_LAYER_ETHERNET, "::ffff:10.0.0.1");
	chooses(parts, -EHOSTUNREACH, TANDEM_TRANSPORT_VERBS, strerror(ENODEV), "");
	set_verbs(&parts[1], IBV_LINK_LAYER_ETHERNET, "::ffff:10.0.0.2");
	chooses(parts, TANDEM_TRANSPORT_VERBS, TANDEM_TRANSPORT_VERBS, BOTH("of one network"));
	set_verbs(&parts[1], IBV_LINK_LAYER_ETHERNET, "fe80::1");
	chooses(parts, -EHOSTUNREACH, TANDEM_TRANSPORT_VERBS, BOTH("not of one network"));
	set_verbs(&parts[1], IBV_LINK_LAYER_INFINIBAND, "fe80::1");
	chooses(parts, -EHOSTUNREACH, TANDEM_TRANSPORT_VERBS, "Ethernet", "InfiniBand");
	set_verbs(&parts[0], IBV_LINK_LAYER_INFINIBAND, "fe80::2");
	chooses(parts, TANDEM_TRANSPORT_VERBS, TANDEM_TRANSPORT_VERBS, BOTH("of one network"));
	set_verbs(&parts[0], IBV_LINK_LAYER_INFINIBAND, "2001:db8::2");
	set_verbs(&parts[1], IBV_LINK_LAYER_INFINIBAND, "2001:db8:0:1::2");
	chooses(parts, -EHOSTUNREACH, TANDEM_TRANSPORT_VERBS, BOTH("not of one network"));
	/* What is malformed is refused by both, even if something else would have been chosen. */
	memcpy(parts, base, sizeof(parts));
	parts[0].offers[TANDEM_TRANSPORT_LOCAL].part_size = 3;
	chooses(parts, -EPROTO, TANDEM_TRANSPORT_TCP, BOTH(""));
#undef BEGIN
#undef BOTH
}

static void test_parts_of_nobody(void **state)
{
	struct xfer_description description;
	uint8_t bytes[XFER_PART_MAX + 1] = { 0 };
	struct pair *pair = *state;
	struct xfer_auto_part part;
	size_t size, at;

	pair->connection[0] = pair_connection(pair, 0);
	describe(pair->connection[0], &description, &part);
	part.offers[TANDEM_TRANSPORT_VERBS] = (struct xfer_auto_offer){ .code = ENODEV };
	size = xfer_auto_part_encode(&part, bytes);
	assert_int_equal(xfer_auto_part_decode(bytes, size, &part), 0);
	for (at = 0; at < size; at++)
		assert_int_equal(xfer_auto_part_decode(bytes, at, &part), -EPROTO);
	assert_int_equal(xfer_auto_part_decode(bytes, size + 1, &part), -EPROTO);
	/* An unknown flag; what has to be zero; a part of a transport that is not there; a
	 * transport that is there without; one of more than there can be.
	 */
#define WRONG(at, value)                                                              \
	do {                                                                          \
		uint8_t was = bytes[at];                                              \
		bytes[at] = (value);                                                  \
		assert_int_equal(xfer_auto_part_decode(bytes, size, &part), -EPROTO); \
		bytes[at] = was;                                                      \
	} while (0)
	WRONG(24, 2);
	WRONG(28, 1);
	WRONG(32, ENODEV);
	at = 32 + 4 + part.offers[TANDEM_TRANSPORT_LOCAL].part_size;
	assert_int_equal(bytes[at], ENODEV);
	WRONG(at, 0);
	WRONG(at + 1, 0xff);
	WRONG(35, 0x10);
#undef WRONG
}

int main(void)
{
#define AUTO_TEST(name) cmocka_unit_test_setup_teardown(name, setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		AUTO_TEST(test_one_loop),
		AUTO_TEST(test_no_verbs),
		AUTO_TEST(test_between_processes),
		AUTO_TEST(test_one_side_has_tcp_alone),
		AUTO_TEST(test_nothing_left_open),
		AUTO_TEST(test_called_by_another),
		AUTO_TEST(test_not_with_one_that_is_named),
		AUTO_TEST(test_none_reaches),
		AUTO_TEST(test_choices),
		AUTO_TEST(test_parts_of_nobody),
	};
#undef AUTO_TEST

	return cmocka_run_group_tests_name("auto", tests, NULL, NULL);
}
