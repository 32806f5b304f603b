// SPDX-License-Identifier: MIT
/*
 * What can only be seen with a real driver and a NIC of the kernel's: that it
 * is the NIC which moves the bytes, that nothing is left behind, and what
 * happens when devices and processes are killed or stopped.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/guest/driver/firmware.h"
#include "tests/native/xfer/pair.h"

#define COUNTER	"/sys/class/infiniband/rxe0/ports/1/hw_counters/sent_pkts"
/* RDMA path MTU at an MTU of 4200 on the wire. */
#define PATH_MTU	4096

static const struct pair_kind accel = {
	.name = "accel over verbs",
	.device = { "accel0", "accel1" },
	.transport = TANDEM_TRANSPORT_VERBS,
};

static const struct pair_kind inproc = {
	.name = "inproc over verbs",
	.device = { "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" },
	.transport = TANDEM_TRANSPORT_VERBS,
};

/* 8 KiB a block, 24 MiB in all. */
static const struct tandem_kv_layout layouts[2] = {
	{ .type = 1, .layers = 3, .kv_width = 128, .block_tokens = 16, .blocks = 1024 },
	{ .type = 1, .layers = 3, .kv_width = 128, .block_tokens = 16, .blocks = 1024 },
};

#define BLOCKS	1024u

static uint64_t read_number(const char *path)
{
	unsigned long long number = 0;
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu", &number), 1);
	fclose(file);
	return number;
}

/* A push of scattered blocks of every layer. */
static struct tandem_push scattered(struct pair *pair, uint32_t *local, uint32_t *remote)
{
	struct tandem_push push = {
		.transfer = 1,
		.layer_count = 3,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = BLOCKS,
	};

	pair_choose(pair, local, BLOCKS, BLOCKS);
	pair_choose(pair, remote, BLOCKS, BLOCKS);
	return push;
}

static void says(const struct tandem_connection *connection, enum tandem_transport transport,
		 const char *what)
{
	const char *reason = tandem_connection_transport_reason(connection, transport);

	assert_non_null(reason);
	if (!strstr(reason, what))
		fail_msg("\"%s\" does not say \"%s\"", reason, what);
}

/* No device reaches one of the other kind. */
static void test_chosen_between_kinds(void **state)
{
	static const struct pair_kind mixed = {
		.name = "accel and inproc over what is chosen",
		.device = { "accel0", "inproc:wse3,mem=64M,cores=1" },
		.transport = TANDEM_TRANSPORT_AUTO,
	};
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_push push;
	struct pair pair;

	(void)state;
	pair_kind = &mixed;
	pair_open(&pair, layouts);
	pair_connect(&pair);
	for (int side = 0; side < 2; side++) {
		assert_int_equal(tandem_connection_transport(pair.connection[side]),
				 TANDEM_TRANSPORT_VERBS);
		says(pair.connection[side], TANDEM_TRANSPORT_LOCAL, "accel, the other's inproc");
		says(pair.connection[side], TANDEM_TRANSPORT_VERBS, "active RDMA port");
		says(pair.connection[side], TANDEM_TRANSPORT_TCP, "verbs comes first");
	}
	push = scattered(&pair, local, remote);
	pair_push_and_check(&pair, &push);
	pair_close(&pair);
}

static void test_the_nic_moves_the_bytes(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_connection_stats stats;
	uint64_t before, packets;
	struct tandem_push push;
	struct pair pair;

	(void)state;
	pair_kind = &accel;
	pair_open(&pair, layouts);
	pair_connect(&pair);
	push = scattered(&pair, local, remote);
	before = read_number(COUNTER);
	pair_push_and_check(&pair, &push);
	packets = read_number(COUNTER) - before;
	tandem_connection_get_stats(pair.connection[0], &stats);
	assert_int_equal(stats.bytes_pushed,
			 3ull * BLOCKS * tandem_kv_block_bytes(&layouts[0]));
	assert_int_equal(stats.cpu_copied_bytes, 0);
	assert_true(packets * PATH_MTU >= stats.bytes_pushed);
	pair_close(&pair);
}

/* How many queue pairs and so on the RDMA subsystem counts for rxe0. */
static void read_resources(char *line, size_t size)
{
	FILE *pipe = popen("rdma resource show rxe0", "re");

	assert_non_null(pipe);
	assert_non_null(fgets(line, size, pipe));
	assert_int_equal(pclose(pipe), 0);
	assert_non_null(strstr(line, " qp "));
	assert_non_null(strstr(line, " mr "));
}

static void test_nothing_is_left(void **state)
{
	char before[256], between[256], after[256];
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_operation sent = { 0 };
	struct tandem_push push;
	struct pair pair;
	int round;

	(void)state;
	pair_kind = &accel;
	read_resources(before, sizeof(before));
	pair_open(&pair, layouts);
	for (round = 0; round < 30; round++) {
		pair_connect(&pair);
		push = scattered(&pair, local, remote);
		assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent), 0);
		if (!round)
			read_resources(between, sizeof(between));
		/* Some end as they should, some are given up, some are closed. */
		if (round % 3 == 0)
			assert_int_equal(pair_wait(&pair, &sent), 0);
		if (round % 3 == 1)
			tandem_cancel(pair.loop, &sent);
		tandem_connection_close(pair.connection[round % 2]);
		tandem_connection_close(pair.connection[1 - round % 2]);
		tandem_loop_run(pair.loop, 0);
		assert_false(sent.pending);
	}
	pair.connection[0] = NULL;
	pair.connection[1] = NULL;
	pair_close(&pair);
	read_resources(after, sizeof(after));
	assert_string_not_equal(before, between);
	assert_string_equal(before, after);
}

/* A pair of which each device has a firmware process of its own. */
static void open_on(struct pair *pair, struct pair_kind *kind, struct firmware firmware[2])
{
	firmware_start(&firmware[0]);
	firmware_start(&firmware[1]);
	*kind = accel;
	kind->device[0] = firmware[0].node;
	kind->device[1] = firmware[1].node;
	pair_kind = kind;
	pair_open(pair, layouts);
	pair_connect(pair);
}

static void check_firmware_killed(enum tandem_transport transport, int victim)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct firmware firmware[2] = { 0 };
	struct tandem_push push;
	struct pair_kind kind;
	struct pair pair;

	open_on(&pair, &kind, firmware);
	if (transport != kind.transport) {
		kind.transport = transport;
		pair_reconnect(&pair);
	}
	push = scattered(&pair, local, remote);
	/* One block more than comes, so that it has to end for another reason. */
	assert_int_equal(tandem_expect_start(pair.connection[1], 1, 3 * BLOCKS + 1, 0, &received),
			 0);
	assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent), 0);
	tandem_loop_run(pair.loop, 0);
	firmware_kill(&firmware[victim]);
	pair_wait(&pair, &sent);
	pair_wait(&pair, &received);
	if (victim == 0) {
		/* The NIC may have been quicker. */
		assert_true(sent.result == -ENODEV || sent.result == 0);
		assert_int_equal(received.result, -ECONNRESET);
	} else {
		assert_true(sent.result == -ECONNRESET || sent.result == 0);
		assert_int_equal(received.result, -ENODEV);
	}
	pair_close(&pair);
	firmware_kill(&firmware[1 - victim]);
}

static void test_sending_firmware_killed(void **state)
{
	(void)state;
	check_firmware_killed(TANDEM_TRANSPORT_VERBS, 0);
}

static void test_receiving_firmware_killed(void **state)
{
	(void)state;
	check_firmware_killed(TANDEM_TRANSPORT_VERBS, 1);
}

static void test_sending_firmware_killed_local(void **state)
{
	(void)state;
	check_firmware_killed(TANDEM_TRANSPORT_LOCAL, 0);
}

static void test_receiving_firmware_killed_local(void **state)
{
	(void)state;
	check_firmware_killed(TANDEM_TRANSPORT_LOCAL, 1);
}

/*
 * Between processes: the child has the receiving side.
 */

struct message {
	uint32_t size;
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
};

static void swap_descriptions(struct tandem_connection *connection, int socket)
{
	struct tandem_error error = { 0 };
	struct message mine = { 0 }, theirs;

	mine.size = tandem_connection_describe(connection, mine.bytes, sizeof(mine.bytes));
	if (write(socket, &mine, sizeof(mine)) != sizeof(mine) ||
	    recv(socket, &theirs, sizeof(theirs), MSG_WAITALL) != sizeof(theirs) ||
	    tandem_connection_connect(connection, theirs.bytes, theirs.size, &error) < 0) {
		fprintf(stderr, "# swap: %s\n", error.message);
		abort();
	}
}

static uint64_t checksum(const uint8_t *bytes, uint64_t size)
{
	uint64_t sum = 14695981039346656037ull;
	uint64_t i;

	for (i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 1099511628211ull;
	return sum;
}

static uint64_t layouts_bytes(void)
{
	return 3ull * BLOCKS * tandem_kv_block_bytes(&layouts[1]);
}

/* Says when it is ready, and what it has got in the end. */
static void receive(int socket)
{
	struct tandem_operation received = { 0 };
	struct pair pair;
	uint64_t sum = 0;
	char ready = 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pair_open(&pair, layouts);
	pair.connection[1] = pair_connection(&pair, 1);
	swap_descriptions(pair.connection[1], socket);
	tandem_expect_start(pair.connection[1], 1, 3 * BLOCKS, 0, &received);
	tandem_loop_run(pair.loop, 0);
	if (write(socket, &ready, 1) != 1)
		_exit(1);
	if (tandem_loop_wait(pair.loop, &received, PAIR_PATIENCE_MS) == 0)
		sum = checksum(pair.bytes[1], layouts_bytes());
	if (write(socket, &sum, sizeof(sum)) != sizeof(sum))
		_exit(1);
	pair_close(&pair);
	_exit(0);
}

static pid_t start_receiver(struct pair *pair, int *socket)
{
	int sockets[2];
	char ready;
	pid_t pid;

	pair_kind = &inproc;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(sockets[0]);
		receive(sockets[1]);
	}
	close(sockets[1]);
	*socket = sockets[0];
	pair_open(pair, layouts);
	pair->connection[0] = pair_connection(pair, 0);
	swap_descriptions(pair->connection[0], *socket);
	assert_int_equal(read(*socket, &ready, 1), 1);
	return pid;
}

static void end_receiver(struct pair *pair, int socket, pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(socket);
	pair_close(pair);
}

static void test_between_processes(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_operation sent = { 0 };
	struct tandem_push push;
	struct pair pair;
	uint64_t sum;
	int socket;
	pid_t pid;

	(void)state;
	pid = start_receiver(&pair, &socket);
	push = scattered(&pair, local, remote);
	assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(&pair, &sent), 0);
	assert_int_equal(recv(socket, &sum, sizeof(sum), MSG_WAITALL), sizeof(sum));
	/* Every block of the pool is written to, so what was there is no matter. */
	pair_shadow_push(&pair, &push);
	assert_true(sum == checksum(pair.shadow[1], layouts_bytes()));
	end_receiver(&pair, socket, pid);
}

static void test_peer_killed(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_operation sent = { 0 };
	struct tandem_push push;
	struct pair pair;
	int socket;
	pid_t pid;

	(void)state;
	pid = start_receiver(&pair, &socket);
	push = scattered(&pair, local, remote);
	/* Stopped first, so that it is killed before it has all. */
	kill(pid, SIGSTOP);
	assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent), 0);
	tandem_loop_run(pair.loop, 0);
	kill(pid, SIGKILL);
	assert_int_equal(pair_wait(&pair, &sent), -ECONNRESET);
	end_receiver(&pair, socket, pid);
}

/*
 * What a NIC takes in without its process is no failure, as long as receives are
 * left that were posted before. These are fewer than so many pushes need.
 */
#define PUSHES_MAX	10000

static int push_until_failure(struct pair *pair, struct tandem_connection *connection,
			      const struct tandem_push *push)
{
	struct tandem_operation sent = { 0 };
	unsigned int i;
	int ret = 0;

	for (i = 0; i < PUSHES_MAX && !ret; i++) {
		ret = tandem_push_start(connection, push, &sent);
		if (!ret)
			ret = pair_wait(pair, &sent);
	}
	return ret;
}

/* Its NIC goes on, but no receive is posted any more: the deadline ends that. */
static void test_peer_stopped(void **state)
{
	struct tandem_connection_options options;
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_connection *connection;
	struct tandem_push push;
	struct pair pair;
	int sockets[2];
	char ready;
	pid_t pid;

	(void)state;
	pair_kind = &inproc;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		receive(sockets[1]);
	close(sockets[1]);
	pair_open(&pair, layouts);
	options = pair_options();
	options.timeout_ms = 3000;
	assert_int_equal(tandem_connection_open(pair.loop, pair.pool[0], &options, &connection,
						NULL), 0);
	pair.connection[0] = connection;
	swap_descriptions(connection, sockets[0]);
	assert_int_equal(read(sockets[0], &ready, 1), 1);
	push = scattered(&pair, local, remote);
	kill(pid, SIGSTOP);
	assert_int_equal(push_until_failure(&pair, connection, &push), -ETIMEDOUT);
	end_receiver(&pair, sockets[0], pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chosen_between_kinds),
		cmocka_unit_test(test_the_nic_moves_the_bytes),
		cmocka_unit_test(test_nothing_is_left),
		cmocka_unit_test(test_sending_firmware_killed),
		cmocka_unit_test(test_receiving_firmware_killed),
		cmocka_unit_test(test_sending_firmware_killed_local),
		cmocka_unit_test(test_receiving_firmware_killed_local),
		cmocka_unit_test(test_between_processes),
		cmocka_unit_test(test_peer_killed),
		cmocka_unit_test(test_peer_stopped),
	};

	return cmocka_run_group_tests_name("verbs", tests, NULL, NULL);
}
