// SPDX-License-Identifier: MIT
/*
 * Transports between processes of one host: what arrives is what was sent, and a
 * peer that is killed, or stopped, is found out in time.
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

#include "pair.h"

#define BLOCKS	64u

/* What is tested now. */
static enum tandem_transport transport;

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

static void side_open(struct side *side, const char *device)
{
	struct tandem_connection_options options = {
		.transport = transport,
		.timeout_ms = PAIR_PATIENCE_MS,
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

static uint8_t pattern(uint64_t at)
{
	return (at * 2654435761u) >> 13;
}

/* The other process: receive all blocks, check them, push them back; and wait. */
static void peer_main(int fd)
{
	struct tandem_operation received = { 0 }, sent = { 0 };
	uint64_t bytes = tandem_kv_block_bytes(&layout) * layout.blocks * layout.layers;
	uint32_t blocks[BLOCKS];
	struct tandem_push push = {
		.transfer = 2,
		.layer_count = layout.layers,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = BLOCKS,
	};
	struct side side = { 0 };
	uint64_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	side_open(&side, "inproc:wse3,mem=64M,cores=1");
	side_introduce(&side, fd);
	for (i = 0; i < BLOCKS; i++)
		blocks[i] = i;
	if (tandem_expect_start(side.connection, 1, BLOCKS * layout.layers, 0, &received) < 0 ||
	    tandem_loop_wait(side.loop, &received, -1) < 0)
		_exit(2);
	for (i = 0; i < bytes; i++)
		if (side.bytes[i] != pattern(i))
			_exit(3);
	if (tandem_push_start(side.connection, &push, &sent) < 0 ||
	    tandem_loop_wait(side.loop, &sent, -1) < 0)
		_exit(4);
	/* Until it is told to go, or killed. */
	while (recv(fd, blocks, 1, MSG_DONTWAIT) != 0)
		tandem_loop_run(side.loop, 20);
	side_close(&side);
	_exit(0);
}

static int setup(void **state)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int fds[2];

	assert_non_null(peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	peer->pid = fork();
	assert_true(peer->pid >= 0);
	if (!peer->pid) {
		close(fds[0]);
		peer_main(fds[1]);
	}
	close(fds[1]);
	peer->fd = fds[0];
	side_open(&peer->side, "inproc:trn2,mem=64M,cores=1");
	side_introduce(&peer->side, peer->fd);
	*state = peer;
	return 0;
}

static int teardown(void **state)
{
	struct peer *peer = *state;

	side_close(&peer->side);
	if (peer->pid) {
		kill(peer->pid, SIGKILL);
		waitpid(peer->pid, NULL, 0);
	}
	close(peer->fd);
	free(peer);
	return 0;
}

static int push_all(struct peer *peer, struct tandem_operation *op)
{
	uint32_t blocks[BLOCKS], i;
	struct tandem_push push = {
		.transfer = 1,
		.layer_count = layout.layers,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = BLOCKS,
	};

	for (i = 0; i < BLOCKS; i++)
		blocks[i] = i;
	return tandem_push_start(peer->side.connection, &push, op);
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

	for (i = 0; i < bytes; i++)
		peer->side.bytes[i] = pattern(i);
	assert_int_equal(tandem_expect_start(peer->side.connection, 2, BLOCKS * layout.layers, 0,
					     &received), 0);
	assert_int_equal(push_all(peer, &sent), 0);
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

	assert_int_equal(tandem_expect_start(peer->side.connection, 2, 1000000, 0, &received),
			 0);
	/* Nobody would know of one that died before it had called; so it has. */
	assert_int_equal(push_all(peer, &sent), 0);
	assert_int_equal(tandem_loop_wait(peer->side.loop, &sent, -1), 0);
	assert_int_equal(push_all(peer, &sent), 0);
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
	assert_int_equal(push_all(peer, &sent), 0);
	assert_int_equal(tandem_loop_wait(peer->side.loop, &received, -1), -ETIMEDOUT);
	assert_int_equal(tandem_loop_wait(peer->side.loop, &sent, -1), -ECONNRESET);
	assert_int_equal(push_all(peer, &sent), -ENOTCONN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
	};

	const struct CMUnitTest chosen[] = {
		cmocka_unit_test_setup_teardown(test_chosen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
	};
	int failed;

	transport = TANDEM_TRANSPORT_TCP;
	failed = cmocka_run_group_tests_name("tcp between processes", tests, NULL, NULL);
	transport = TANDEM_TRANSPORT_LOCAL;
	failed += cmocka_run_group_tests_name("local between processes", tests, NULL, NULL);
	transport = TANDEM_TRANSPORT_AUTO;
	failed += cmocka_run_group_tests_name("what is chosen between processes", chosen, NULL,
					      NULL);
	return failed;
}
