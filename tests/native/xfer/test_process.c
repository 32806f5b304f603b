// SPDX-License-Identifier: MIT
/*
 * Transports between processes of one host: what arrives is what was sent, and a
 * peer that is killed, or stopped, is found out in time and leaves nothing behind.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pair.h"

#include "runtime/xfer_ipc.h"

#define BLOCKS	64u

static const struct tandem_kv_layout layout = {
	.type = 0, .layers = 4, .kv_width = 1024, .block_tokens = 8, .blocks = BLOCKS,
};

/**
 * struct side - one process's part
 * @loop: its loop
 * @device: its device
 * @pool: the pool
 * @bytes: mapped
 * @connection: connected
 */
struct side {
	struct tandem_loop *loop;
	struct tandem_device *device;
	struct tandem_kv_pool *pool;
	uint8_t *bytes;
	struct tandem_connection *connection;
};

/**
 * struct peer - the other process, as seen from the test
 * @pid: of it
 * @fd: to talk to it
 * @side: ours
 */
struct peer {
	pid_t pid;
	int fd;
	struct side side;
};

static void must(int ret, const struct tandem_error *error)
{
	if (ret < 0) {
		fprintf(stderr, "# %s\n", error->message);
		abort();
	}
}

static void side_open(struct side *side, const char *device, unsigned int timeout_ms)
{
	struct tandem_connection_options options = {
		.transport = pair_kind->transport,
		.timeout_ms = timeout_ms,
	};
	struct tandem_error error = { 0 };
	void *pointer;

	must(tandem_loop_create(&side->loop, &error), &error);
	must(tandem_device_open(side->loop, device, &side->device, &error), &error);
	must(tandem_kv_pool_create(side->device, &layout, &side->pool, &error), &error);
	must(tandem_memory_map(tandem_kv_pool_memory(side->pool), &pointer), &error);
	side->bytes = pointer;
	must(tandem_connection_open(side->loop, side->pool, &options, &side->connection, &error),
	     &error);
}

static void side_close(struct side *side)
{
	tandem_connection_close(side->connection);
	tandem_kv_pool_destroy(side->pool);
	tandem_device_close(side->device);
	tandem_loop_destroy(side->loop);
}

/* Tell the other process of our side, and be told. */
static void side_introduce(struct side *side, int fd)
{
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	struct tandem_error error = { 0 };
	ssize_t size;

	size = tandem_connection_describe(side->connection, bytes, sizeof(bytes));
	if (size < 0 || send(fd, bytes, size, 0) != size)
		abort();
	size = recv(fd, bytes, sizeof(bytes), 0);
	if (size <= 0)
		abort();
	must(tandem_connection_connect(side->connection, bytes, size, &error), &error);
}

static int push_all(struct side *side, uint32_t transfer, struct tandem_operation *op)
{
	const struct tandem_push push = {
		.transfer = transfer,
		.layer_count = layout.layers,
		.block_count = BLOCKS,
		.local_stride = 1,
		.remote_stride = 1,
	};

	return tandem_push_start(side->connection, &push, op);
}

static int pull_all(struct side *side, struct tandem_operation *op)
{
	const struct tandem_pull pull = {
		.layer_count = layout.layers,
		.block_count = BLOCKS,
		.local_stride = 1,
		.remote_stride = 1,
	};

	return tandem_pull_start(side->connection, &pull, op);
}

static uint8_t pattern(uint64_t at)
{
	return (at * 2654435761u) >> 13;
}

/* The other process: receive all blocks, check them, push them back; and wait. */
static void answer(int fd)
{
	struct tandem_operation received = { 0 }, sent = { 0 };
	uint64_t bytes = tandem_kv_block_bytes(&layout) * layout.blocks * layout.layers;
	struct side side = { 0 };
	uint8_t none;
	uint64_t i;

	side_open(&side, pair_kind->device[1], PAIR_PATIENCE_MS);
	side_introduce(&side, fd);
	if (tandem_expect_start(side.connection, 1, BLOCKS * layout.layers, 0, &received) < 0 ||
	    tandem_loop_wait(side.loop, &received, -1) < 0)
		_exit(2);
	for (i = 0; i < bytes; i++)
		if (side.bytes[i] != pattern(i))
			_exit(3);
	if (push_all(&side, 2, &sent) < 0 ||
	    tandem_loop_wait(side.loop, &sent, -1) < 0)
		_exit(4);
	/* Until it is told to go, or killed. */
	while (recv(fd, &none, 1, MSG_DONTWAIT) != 0)
		tandem_loop_run(side.loop, 20);
	side_close(&side);
	_exit(0);
}

/* Push and pull all blocks again and again, until killed. */
static void go_on(int fd)
{
	struct tandem_operation sent = { 0 }, read = { 0 };
	struct side side = { 0 };

	side_open(&side, pair_kind->device[1], PAIR_PATIENCE_MS);
	side_introduce(&side, fd);
	for (;;) {
		if (!sent.pending && push_all(&side, 2, &sent) < 0)
			_exit(2);
		if (!read.pending && pull_all(&side, &read) < 0)
			_exit(3);
		tandem_loop_run(side.loop, -1);
	}
}

static struct peer *peer_start(void (*run)(int fd), unsigned int timeout_ms)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int fds[2];

	assert_non_null(peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	peer->pid = fork();
	assert_true(peer->pid >= 0);
	if (!peer->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		run(fds[1]);
	}
	close(fds[1]);
	peer->fd = fds[0];
	side_open(&peer->side, pair_kind->device[0], timeout_ms);
	side_introduce(&peer->side, peer->fd);
	return peer;
}

static void peer_end(struct peer *peer)
{
	side_close(&peer->side);
	if (peer->pid) {
		kill(peer->pid, SIGKILL);
		waitpid(peer->pid, NULL, 0);
	}
	close(peer->fd);
	free(peer);
}

static int setup(void **state)
{
	*state = peer_start(answer, PAIR_PATIENCE_MS);
	return 0;
}

static int teardown(void **state)
{
	peer_end(*state);
	return 0;
}

/* What answer() takes. */
static void fill(struct side *side)
{
	uint64_t bytes = tandem_kv_block_bytes(&layout) * layout.blocks * layout.layers;
	uint64_t i;

	for (i = 0; i < bytes; i++)
		side->bytes[i] = pattern(i);
}

/* Is it what both sides come to, and for that reason? */
static void test_chosen(void **state)
{
	const char *reason;
	struct peer *peer = *state;

	assert_int_equal(tandem_connection_transport(peer->side.connection),
			 TANDEM_TRANSPORT_LOCAL);
	reason = tandem_connection_transport_reason(peer->side.connection,
						    TANDEM_TRANSPORT_LOCAL);
	assert_non_null(strstr(reason, "one user on one machine"));
}

static void test_there_and_back(void **state)
{
	uint64_t bytes = tandem_kv_block_bytes(&layout) * layout.blocks * layout.layers;
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct peer *peer = *state;
	uint64_t i;
	int status;

	fill(&peer->side);
	assert_int_equal(tandem_expect_start(peer->side.connection, 2, BLOCKS * layout.layers, 0,
					     &received), 0);
	assert_int_equal(push_all(&peer->side, 1, &sent), 0);
	assert_int_equal(tandem_loop_wait(peer->side.loop, &sent, -1), 0);
	memset(peer->side.bytes, 0, bytes);
	assert_int_equal(tandem_loop_wait(peer->side.loop, &received, -1), 0);
	for (i = 0; i < bytes && peer->side.bytes[i] == pattern(i); i++)
		;
	assert_int_equal(i, bytes);
	shutdown(peer->fd, SHUT_WR);
	assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
	peer->pid = 0;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_killed(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct peer *peer = *state;
	int result;

	fill(&peer->side);
	assert_int_equal(tandem_expect_start(peer->side.connection, 2, 1000000, 0, &received),
			 0);
	/* Nobody would know of one that died before it had called; so it has. */
	assert_int_equal(push_all(&peer->side, 1, &sent), 0);
	assert_int_equal(tandem_loop_wait(peer->side.loop, &sent, -1), 0);
	assert_int_equal(push_all(&peer->side, 1, &sent), 0);
	tandem_loop_run(peer->side.loop, 1);
	kill(peer->pid, SIGKILL);
	/* The push may have been quicker. */
	result = tandem_loop_wait(peer->side.loop, &sent, -1);
	assert_true(result == 0 || result == -ECONNRESET || result == -ECONNREFUSED);
	result = tandem_loop_wait(peer->side.loop, &received, -1);
	assert_true(result == -ECONNRESET || result == -ECONNREFUSED);
}

/* A stopped peer's kernel goes on acknowledging; its library does not. */
static void test_stopped(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct peer *peer = *state;
	int status;

	kill(peer->pid, SIGSTOP);
	assert_int_equal(waitpid(peer->pid, &status, WUNTRACED), peer->pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(tandem_expect_start(peer->side.connection, 2, 1, 300, &received), 0);
	assert_int_equal(push_all(&peer->side, 1, &sent), 0);
	assert_int_equal(tandem_loop_wait(peer->side.loop, &received, -1), -ETIMEDOUT);
	assert_int_equal(tandem_loop_wait(peer->side.loop, &sent, -1), -ECONNRESET);
	assert_int_equal(push_all(&peer->side, 1, &sent), -ENOTCONN);
}

/* Descriptors that this process has open. */
static unsigned int descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* Device memory that anybody has; of an inproc device, which is this process's, none. */
static uint64_t memory_used(const char *name)
{
	struct tandem_memory_class memory_class;
	struct tandem_device *device;
	struct tandem_loop *loop;
	uint64_t used = 0;

	assert_int_equal(tandem_loop_create(&loop, NULL), 0);
	assert_int_equal(tandem_device_open(loop, name, &device, NULL), 0);
	for (uint32_t i = 0; !tandem_device_get_memory_class(device, i, &memory_class); i++)
		used += memory_class.used;
	tandem_device_close(device);
	tandem_loop_destroy(loop);
	return used;
}

/* At whatever time: all ends, and nothing is left of it, here or on the devices. */
static void test_killed_at_any_time(void **state)
{
	const unsigned int before = descriptors();
	unsigned int round, turns;

	(void)state;
	for (round = 0; round < 12; round++) {
		struct tandem_operation sent = { 0 }, read = { 0 }, received = { 0 };
		struct peer *peer = peer_start(go_on, 1000);
		struct side *side = &peer->side;

		assert_int_equal(tandem_expect_start(side->connection, 2, 1000000, 0,
						     &received), 0);
		assert_int_equal(push_all(side, 1, &sent), 0);
		assert_int_equal(pull_all(side, &read), 0);
		for (turns = 0; turns < 2 * round; turns++)
			tandem_loop_run(side->loop, 1);
		kill(peer->pid, SIGKILL);
		tandem_loop_wait(side->loop, &sent, -1);
		tandem_loop_wait(side->loop, &read, -1);
		tandem_loop_wait(side->loop, &received, -1);
		assert_true(received.result == -ECONNRESET || received.result == -ECONNREFUSED ||
			    received.result == -ETIMEDOUT);
		peer_end(peer);
		assert_int_equal(descriptors(), before);
	}
	/* What a process held just before its end is freed a little later. */
	for (turns = 0; memory_used(pair_kind->device[1]) && turns < 500; turns++)
		usleep(20000);
	assert_int_equal(memory_used(pair_kind->device[1]), 0);
	assert_int_equal(memory_used(pair_kind->device[0]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test(test_killed_at_any_time),
		cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
	};
	const struct CMUnitTest chosen[] = {
		cmocka_unit_test_setup_teardown(test_chosen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
	};
	struct pair_kind automatic = {
		.name = "what is chosen between processes",
		.device = { pair_kinds[0].device[0], pair_kinds[0].device[1] },
		.transport = TANDEM_TRANSPORT_AUTO,
	};
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++) {
		if (pair_kind->prepare)
			pair_kind->prepare();
		/* The next one is the same between processes. */
		if (pair_kind->transport == TANDEM_TRANSPORT_LOCAL && !xfer_ipc_always)
			continue;
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	}
	pair_kind = &automatic;
	failed += cmocka_run_group_tests_name(pair_kind->name, chosen, NULL, NULL);
	return failed;
}
