// SPDX-License-Identifier: MIT
/*
 * Channels: messages, who is let in, and sides that are gone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include <tandem/channel.h>

#include "certificates.h"

/* Longer than anything takes; only reached when something is broken. */
#define PATIENCE_MS	60000
#define SHORT_MS	300
#define DAY		86400L
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/**
 * struct files - the files of a side
 * @certificate: path
 * @key: path
 * @authorities: path
 */
struct files {
	char certificate[256];
	char key[256];
	char authorities[256];
};

/* Where this process's certificates are. */
static char directory[64];

/**
 * struct fixture - what a test works with
 * @loop: everything's
 * @listener: of "decode.example"
 * @error: what was said last
 */
struct fixture {
	struct tandem_loop *loop;
	struct tandem_channel_listener *listener;
	struct tandem_error error;
};

/* Options of one who is called @name and trusts @authority. */
static struct tandem_channel_options as(struct files *files, const char *name,
					const char *authority)
{
	snprintf(files->certificate, sizeof(files->certificate), "%s/%s.pem", directory, name);
	snprintf(files->key, sizeof(files->key), "%s/%s.key", directory, name);
	snprintf(files->authorities, sizeof(files->authorities), "%s/%s.pem", directory,
		 authority);
	return (struct tandem_channel_options){
		.address = "127.0.0.1",
		.certificate = files->certificate,
		.key = files->key,
		.authorities = files->authorities,
		.timeout_ms = PATIENCE_MS,
	};
}

static void listen_with(struct fixture *fixture, const struct tandem_channel_options *options)
{
	if (tandem_channel_listen(fixture->loop, options, &fixture->listener, &fixture->error) < 0)
		fail_msg("%s", fixture->error.message);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct tandem_channel_options options;
	struct files files;

	*state = fixture;
	if (!fixture || tandem_loop_create(&fixture->loop, NULL) < 0)
		return -1;
	options = as(&files, "decode", "ours");
	listen_with(fixture, &options);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	tandem_channel_listener_close(fixture->listener);
	tandem_loop_destroy(fixture->loop);
	free(fixture);
	return 0;
}

static int wait_for(struct fixture *fixture, struct tandem_operation *op)
{
	return tandem_loop_wait(fixture->loop, op, PATIENCE_MS);
}

/* Connect, and return how that ended. */
static int try_connect(struct fixture *fixture, struct tandem_channel_options *options,
		       struct tandem_channel **channel)
{
	struct tandem_operation op = { 0 };

	memset(&fixture->error, 0, sizeof(fixture->error));
	options->port = tandem_channel_listener_port(fixture->listener);
	if (tandem_channel_connect_start(fixture->loop, options, channel, &op,
					 &fixture->error) < 0)
		fail_msg("%s", fixture->error.message);
	return wait_for(fixture, &op);
}

/* Both ends of a channel. */
static void make_pair(struct fixture *fixture, struct tandem_channel *ends[2])
{
	struct tandem_channel_options options;
	struct tandem_operation accepted = { 0 };
	struct files files;

	options = as(&files, "prefill", "ours");
	options.peer_name = "decode.example";
	assert_int_equal(tandem_channel_accept_start(fixture->listener, &ends[1], &accepted), 0);
	if (try_connect(fixture, &options, &ends[0]))
		fail_msg("%s", fixture->error.message);
	assert_int_equal(wait_for(fixture, &accepted), 0);
}

static void close_pair(struct tandem_channel *ends[2])
{
	tandem_channel_close(ends[0]);
	tandem_channel_close(ends[1]);
}

static void fill(uint8_t *bytes, size_t size, uint32_t seed)
{
	size_t i;

	for (i = 0; i < size; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = seed >> 24;
	}
}

static void test_names(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_channel *ends[2];

	make_pair(fixture, ends);
	assert_string_equal(tandem_channel_peer(ends[0]), "decode.example");
	assert_string_equal(tandem_channel_peer(ends[1]), "prefill.example");
	close_pair(ends);
	tandem_channel_close(NULL);
}

/* Messages of all sizes, both ways at once, arrive whole and in order. */
static void test_messages(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 4, 5, 255, 256, 16383, 16384, 16385, 65535,
					TANDEM_CHANNEL_MESSAGE_MAX };
	struct tandem_operation sent[2][COUNT(sizes)] = { 0 };
	static uint8_t message[TANDEM_CHANNEL_MESSAGE_MAX];
	static uint8_t got[TANDEM_CHANNEL_MESSAGE_MAX];
	struct tandem_operation received = { 0 };
	struct fixture *fixture = *state;
	struct tandem_channel *ends[2];
	size_t i, side;

	make_pair(fixture, ends);
	for (i = 0; i < COUNT(sizes); i++) {
		for (side = 0; side < 2; side++) {
			fill(message, sizes[i], i * 2 + side);
			assert_int_equal(tandem_channel_send_start(ends[side], message, sizes[i],
								   &sent[side][i]), 0);
		}
	}
	for (i = 0; i < COUNT(sizes); i++) {
		for (side = 0; side < 2; side++) {
			assert_int_equal(tandem_channel_receive_start(ends[!side], got, sizeof(got),
								      PATIENCE_MS, &received), 0);
			assert_int_equal(wait_for(fixture, &received), sizes[i]);
			fill(message, sizes[i], i * 2 + side);
			assert_memory_equal(got, message, sizes[i]);
			assert_int_equal(wait_for(fixture, &sent[side][i]), 0);
		}
	}
	close_pair(ends);
}

static void test_thousands(void **state)
{
	const uint32_t count = 10000;
	struct tandem_operation *sent = calloc(count, sizeof(*sent));
	struct tandem_operation received = { 0 };
	struct fixture *fixture = *state;
	struct tandem_channel *ends[2];
	uint32_t i, got;

	make_pair(fixture, ends);
	for (i = 0; i < count; i++)
		assert_int_equal(tandem_channel_send_start(ends[0], &i, sizeof(i), &sent[i]), 0);
	for (i = 0; i < count; i++) {
		assert_int_equal(tandem_channel_receive_start(ends[1], &got, sizeof(got),
							      PATIENCE_MS, &received), 0);
		assert_int_equal(wait_for(fixture, &received), sizeof(got));
		assert_int_equal(got, i);
	}
	for (i = 0; i < count; i++)
		assert_int_equal(wait_for(fixture, &sent[i]), 0);
	close_pair(ends);
	free(sent);
}

static void test_wrong_arguments(void **state)
{
	struct tandem_operation op = { 0 }, other = { 0 };
	struct fixture *fixture = *state;
	struct tandem_channel *ends[2];
	static uint8_t bytes[TANDEM_CHANNEL_MESSAGE_MAX + 1];

	make_pair(fixture, ends);
	assert_int_equal(tandem_channel_send_start(ends[0], bytes, 0, &op), -EINVAL);
	assert_int_equal(tandem_channel_send_start(ends[0], bytes, sizeof(bytes), &op), -EINVAL);
	assert_int_equal(tandem_channel_receive_start(ends[0], bytes, 8, 0, &op), 0);
	assert_int_equal(tandem_channel_receive_start(ends[0], bytes, 8, 0, &other), -EBUSY);
	assert_int_equal(tandem_channel_receive_start(ends[1], bytes, 8, 0, &op), -EINVAL);
	assert_int_equal(tandem_cancel(fixture->loop, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -ECANCELED);

	/* Too small a buffer loses nothing. */
	assert_int_equal(tandem_channel_send_start(ends[1], "sixteen letters", 16, &other), 0);
	assert_int_equal(tandem_channel_receive_start(ends[0], bytes, 15, PATIENCE_MS, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -EMSGSIZE);
	assert_int_equal(tandem_channel_receive_start(ends[0], bytes, 16, PATIENCE_MS, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 16);
	assert_string_equal((char *)bytes, "sixteen letters");
	assert_int_equal(wait_for(fixture, &other), 0);

	/* Nothing comes; the channel goes on. */
	assert_int_equal(tandem_channel_receive_start(ends[0], bytes, 16, 10, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -ETIMEDOUT);
	assert_int_equal(tandem_channel_send_start(ends[1], "x", 1, &other), 0);
	assert_int_equal(tandem_channel_receive_start(ends[0], bytes, 16, PATIENCE_MS, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 1);
	assert_int_equal(wait_for(fixture, &other), 0);

	assert_int_equal(tandem_channel_accept_start(fixture->listener, &ends[0], &op), 0);
	assert_int_equal(tandem_channel_accept_start(fixture->listener, &ends[0], &other), -EBUSY);
	assert_int_equal(tandem_cancel(fixture->loop, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -ECANCELED);
	close_pair(ends);
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *name, *authority;
		int code;
		const char *says;
	} cases[] = {
		{ "nobody", "ours", -ENOENT, "nobody.pem" },
		{ "prefill", "nobody", -ENOENT, "nobody.pem" },
		{ "mixed", "ours", -EINVAL, "mixed.key" },
		{ "empty", "ours", -ENOENT, "empty.key" },
		{ "nothing", "ours", -EINVAL, "nothing.pem" },
		{ "prefill", "empty", -EINVAL, "empty.pem" },
	};
	struct fixture *fixture = *state;
	struct tandem_channel_options options;
	struct tandem_channel *channel;
	struct tandem_operation op = { 0 };
	struct files files;
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		options = as(&files, cases[i].name, cases[i].authority);
		options.port = 1;
		assert_int_equal(tandem_channel_connect_start(fixture->loop, &options, &channel, &op,
							      &fixture->error), cases[i].code);
		if (!strstr(fixture->error.message, cases[i].says))
			fail_msg("case %zu says: %s", i, fixture->error.message);
		assert_false(op.pending);
	}
	options = as(&files, "prefill", "ours");
	options.address = "decode.example";
	assert_int_equal(tandem_channel_connect_start(fixture->loop, &options, &channel, &op, NULL),
			 -EINVAL);
	options.address = "127.0.0.1";
	options.port = 65536;
	assert_int_equal(tandem_channel_connect_start(fixture->loop, &options, &channel, &op, NULL),
			 -EINVAL);
}

/* Somebody who listens at a port of this test's. */
static void test_refused(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_channel_options options;
	struct tandem_channel *channel;
	struct tandem_operation op = { 0 };
	struct files files;

	options = as(&files, "prefill", "ours");
	options.port = tandem_channel_listener_port(fixture->listener);
	tandem_channel_listener_close(fixture->listener);
	fixture->listener = NULL;
	assert_int_equal(tandem_channel_connect_start(fixture->loop, &options, &channel, &op,
						      &fixture->error), 0);
	assert_int_equal(wait_for(fixture, &op), -ECONNREFUSED);
	assert_non_null(strstr(fixture->error.message, "127.0.0.1"));
	tandem_channel_close(channel);
}

/* Whom the listener does not know, who does not know the listener, and others. */
static void test_strangers(void **state)
{
	static const struct {
		const char *name, *authority, *peer_name;
		const char *says;
	} cases[] = {
		{ "stranger", "ours", NULL, "the other side does not accept this one" },
		{ "itself", "ours", NULL, "the other side does not accept this one" },
		{ "expired", "ours", NULL, "the other side does not accept this one" },
		{ "future", "ours", NULL, "the other side does not accept this one" },
		{ "prefill", "theirs", NULL, "the other side's certificate is not accepted" },
		{ "prefill", "ours", "prefill.example", "the other side's certificate is not accepted" },
		{ "prefill", "ours", "decode", "the other side's certificate is not accepted" },
	};
	struct fixture *fixture = *state;
	struct tandem_channel_options options;
	struct tandem_operation accepted = { 0 };
	struct tandem_channel *channel, *none = NULL, *ends[2];
	struct files files;
	size_t i;

	assert_int_equal(tandem_channel_accept_start(fixture->listener, &none, &accepted), 0);
	for (i = 0; i < COUNT(cases); i++) {
		options = as(&files, cases[i].name, cases[i].authority);
		options.peer_name = cases[i].peer_name;
		assert_int_equal(try_connect(fixture, &options, &channel), -EACCES);
		if (!strstr(fixture->error.message, cases[i].says))
			fail_msg("case %zu says: %s", i, fixture->error.message);
		assert_int_equal(tandem_channel_send_start(channel, "x", 1, &(struct tandem_operation){ 0 }),
				 -ENOTCONN);
		tandem_channel_close(channel);
	}
	tandem_loop_run(fixture->loop, 0);
	assert_true(accepted.pending);
	assert_int_equal(tandem_cancel(fixture->loop, &accepted), 0);
	assert_int_equal(wait_for(fixture, &accepted), -ECANCELED);
	/* Those who may still can. */
	make_pair(fixture, ends);
	close_pair(ends);
}

/* A listener that wants one in particular. */
static void test_listener_wants_name(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_channel_options options;
	struct tandem_operation accepted = { 0 };
	struct tandem_channel *channel, *end;
	struct files files;

	tandem_channel_listener_close(fixture->listener);
	options = as(&files, "decode", "ours");
	options.peer_name = "prefill.example";
	listen_with(fixture, &options);
	options = as(&files, "decode", "ours");
	assert_int_equal(try_connect(fixture, &options, &channel), -EACCES);
	tandem_channel_close(channel);
	assert_int_equal(tandem_channel_accept_start(fixture->listener, &end, &accepted), 0);
	options = as(&files, "prefill", "ours");
	assert_int_equal(try_connect(fixture, &options, &channel), 0);
	assert_int_equal(wait_for(fixture, &accepted), 0);
	tandem_channel_close(channel);
	tandem_channel_close(end);
}

static int plain_socket(struct fixture *fixture)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(tandem_channel_listener_port(fixture->listener)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Does the other side hang up within PATIENCE_MS? */
static bool hangs_up(struct fixture *fixture, int fd)
{
	char bytes[256];
	int waited;

	for (waited = 0; waited < PATIENCE_MS; waited += 10) {
		ssize_t got;

		tandem_loop_run(fixture->loop, 10);
		got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (!got || (got < 0 && errno != EAGAIN))
			return true;
	}
	return false;
}

static void test_no_tls(void **state)
{
	static const char *const texts[] = { "GET / HTTP/1.1\r\n\r\n", "TNDCHAN\1", "\x16\x03\x01" };
	struct fixture *fixture = *state;
	struct tandem_channel *ends[2];
	int fds[COUNT(texts)];
	size_t i;

	for (i = 0; i < COUNT(texts); i++) {
		fds[i] = plain_socket(fixture);
		assert_true(send(fds[i], texts[i], strlen(texts[i]), MSG_NOSIGNAL) > 0);
	}
	assert_true(hangs_up(fixture, fds[0]));
	assert_true(hangs_up(fixture, fds[1]));
	make_pair(fixture, ends);
	close_pair(ends);
	for (i = 0; i < COUNT(texts); i++)
		close(fds[i]);
}

/* Who says nothing is dropped after a while, and sooner when there are many. */
static void test_silent_callers(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_channel_options options;
	struct tandem_channel *ends[2];
	struct files files;
	int fds[200];
	size_t i;

	for (i = 0; i < COUNT(fds); i++) {
		fds[i] = plain_socket(fixture);
		tandem_loop_run(fixture->loop, 0);
	}
	make_pair(fixture, ends);
	close_pair(ends);
	assert_true(hangs_up(fixture, fds[0]));
	for (i = 0; i < COUNT(fds); i++)
		close(fds[i]);

	tandem_channel_listener_close(fixture->listener);
	options = as(&files, "decode", "ours");
	options.timeout_ms = SHORT_MS;
	listen_with(fixture, &options);
	fds[0] = plain_socket(fixture);
	assert_true(hangs_up(fixture, fds[0]));
	close(fds[0]);
}

/* One who is let in, and then does not keep to the rules. */
static void rogue(struct fixture *fixture, const void *bytes, int size, int expected)
{
	struct tandem_operation accepted = { 0 }, received = { 0 };
	struct tandem_channel *end = NULL;
	SSL_CTX *context = SSL_CTX_new(TLS_method());
	struct files files;
	SSL *ssl;
	int fd, ret, tries = 0;

	as(&files, "prefill", "ours");
	SSL_CTX_use_certificate_chain_file(context, files.certificate);
	SSL_CTX_use_PrivateKey_file(context, files.key, SSL_FILETYPE_PEM);
	fd = plain_socket(fixture);
	ssl = SSL_new(context);
	SSL_set_fd(ssl, fd);
	assert_int_equal(tandem_channel_accept_start(fixture->listener, &end, &accepted), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO,
				    &(struct timeval){ .tv_usec = 10000 },
				    sizeof(struct timeval)), 0);
	do {
		tandem_loop_run(fixture->loop, 0);
		ret = SSL_connect(ssl);
	} while (ret != 1 && ++tries < PATIENCE_MS / 10);
	assert_int_equal(ret, 1);
	assert_int_equal(SSL_write(ssl, bytes, size), size);
	if (expected == -EACCES) {
		assert_true(hangs_up(fixture, fd));
		assert_true(accepted.pending);
		assert_int_equal(tandem_cancel(fixture->loop, &accepted), 0);
		wait_for(fixture, &accepted);
	} else {
		static uint8_t buffer[TANDEM_CHANNEL_MESSAGE_MAX];

		assert_int_equal(wait_for(fixture, &accepted), 0);
		assert_int_equal(tandem_channel_receive_start(end, buffer, sizeof(buffer),
							      PATIENCE_MS, &received), 0);
		if (expected == -ECONNRESET) {
			tandem_loop_run(fixture->loop, 0);
			shutdown(fd, SHUT_RDWR);
		}
		assert_int_equal(wait_for(fixture, &received), expected);
		tandem_channel_close(end);
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
	close(fd);
}

#define HELLO	"\10\0\0\0TNDCHAN\1"

static void test_rogues(void **state)
{
	static const struct {
		const char *bytes;
		int size;
		int expected;
	} cases[] = {
		{ "\10\0\0\0TNDCHAN\2", 12, -EACCES },		/* another version */
		{ "\7\0\0\0TNDCHAN", 11, -EACCES },
		{ "\0\0\0\0", 4, -EACCES },
		{ "\377\377\377\377", 4, -EACCES },
		{ HELLO "\0\0\0\0", 16, -EPROTO },		/* no message is empty */
		{ HELLO "\1\0\1\0", 16, -EPROTO },		/* one byte too long */
		{ HELLO "\377\377\377\377", 16, -EPROTO },
		{ HELLO "\0\0\1\0ab", 18, -ECONNRESET },	/* ends in the middle */
		{ HELLO "\2\0\0\0ab", 18, 2 },			/* as it should be */
	};
	struct fixture *fixture = *state;
	size_t i;

	for (i = 0; i < COUNT(cases); i++)
		rogue(fixture, cases[i].bytes, cases[i].size, cases[i].expected);
}

/* A closed side is noticed by who waits, and what it had sent still arrives. */
static void test_other_side_closes(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct fixture *fixture = *state;
	struct tandem_channel *ends[2];
	char buffer[16];

	make_pair(fixture, ends);
	assert_int_equal(tandem_channel_send_start(ends[0], "last", 5, &sent), 0);
	assert_int_equal(wait_for(fixture, &sent), 0);
	tandem_channel_close(ends[0]);
	assert_int_equal(tandem_channel_receive_start(ends[1], buffer, sizeof(buffer), PATIENCE_MS,
						      &received), 0);
	assert_int_equal(wait_for(fixture, &received), 5);
	assert_string_equal(buffer, "last");
	assert_int_equal(tandem_channel_receive_start(ends[1], buffer, sizeof(buffer), PATIENCE_MS,
						      &received), 0);
	assert_int_equal(wait_for(fixture, &received), -ECONNRESET);
	assert_int_equal(tandem_channel_send_start(ends[1], "x", 1, &sent), -ENOTCONN);
	assert_int_equal(tandem_channel_receive_start(ends[1], buffer, 1, 0, &received), -ENOTCONN);
	tandem_channel_close(ends[1]);
}

static void test_close_ends_everything(void **state)
{
	static uint8_t message[TANDEM_CHANNEL_MESSAGE_MAX];
	struct tandem_operation sent[100] = { 0 }, received = { 0 }, accepted = { 0 };
	struct fixture *fixture = *state;
	struct tandem_channel *ends[2], *end;
	unsigned int cancelled = 0;
	size_t i;

	make_pair(fixture, ends);
	for (i = 0; i < COUNT(sent); i++)
		assert_int_equal(tandem_channel_send_start(ends[0], message, sizeof(message),
							   &sent[i]), 0);
	assert_int_equal(tandem_channel_receive_start(ends[0], message, 1, 0, &received), 0);
	tandem_loop_run(fixture->loop, 0);
	/* Among these, not the one that is half out. */
	assert_int_equal(tandem_cancel(fixture->loop, &sent[99]), 0);
	assert_int_equal(wait_for(fixture, &sent[99]), -ECANCELED);
	tandem_channel_close(ends[0]);
	assert_int_equal(wait_for(fixture, &received), -ECANCELED);
	for (i = 0; i < COUNT(sent); i++) {
		wait_for(fixture, &sent[i]);
		assert_true(!sent[i].result || sent[i].result == -ECANCELED);
		cancelled += !!sent[i].result;
	}
	/* More than sockets hold. */
	assert_true(cancelled > 0);
	tandem_channel_close(ends[1]);

	assert_int_equal(tandem_channel_accept_start(fixture->listener, &end, &accepted), 0);
	tandem_channel_listener_close(fixture->listener);
	fixture->listener = NULL;
	assert_int_equal(wait_for(fixture, &accepted), -ECANCELED);
}

/* Nobody takes the messages in: the sender's deadline ends it. */
static void test_slow_receiver(void **state)
{
	static uint8_t message[TANDEM_CHANNEL_MESSAGE_MAX];
	struct tandem_operation sent[400] = { 0 }, accepted = { 0 };
	struct fixture *fixture = *state;
	struct tandem_channel_options options;
	struct tandem_channel *ends[2];
	struct files files;
	unsigned int late = 0;
	size_t i;

	options = as(&files, "prefill", "ours");
	options.timeout_ms = 2000;
	assert_int_equal(tandem_channel_accept_start(fixture->listener, &ends[1], &accepted), 0);
	assert_int_equal(try_connect(fixture, &options, &ends[0]), 0);
	assert_int_equal(wait_for(fixture, &accepted), 0);
	for (i = 0; i < COUNT(sent); i++)
		assert_int_equal(tandem_channel_send_start(ends[0], message, sizeof(message),
							   &sent[i]), 0);
	for (i = 0; i < COUNT(sent); i++) {
		wait_for(fixture, &sent[i]);
		assert_true(!sent[i].result || sent[i].result == -ETIMEDOUT);
		late += !!sent[i].result;
	}
	assert_true(late > 0);
	close_pair(ends);
}

static void test_cancelled_connects(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_channel_options options;
	struct tandem_channel *channel;
	struct files files;
	unsigned int rounds;

	options = as(&files, "prefill", "ours");
	options.port = tandem_channel_listener_port(fixture->listener);
	for (rounds = 0; rounds < 20; rounds++) {
		struct tandem_operation op = { 0 };
		unsigned int i;

		assert_int_equal(tandem_channel_connect_start(fixture->loop, &options, &channel,
							      &op, NULL), 0);
		for (i = 0; i < rounds; i++)
			tandem_loop_run(fixture->loop, 0);
		if (rounds % 2) {
			tandem_cancel(fixture->loop, &op);
			wait_for(fixture, &op);
			tandem_channel_close(channel);
		} else {
			tandem_channel_close(channel);
			wait_for(fixture, &op);
		}
		assert_true(!op.result || op.result == -ECANCELED);
	}
}

/* The process at the other end is killed. */
static void test_killed_peer(void **state)
{
	struct tandem_operation accepted = { 0 }, received = { 0 };
	struct fixture *fixture = *state;
	struct tandem_channel *end;
	char buffer[16];
	pid_t child;
	int status;

	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct tandem_operation op = { 0 };
		struct tandem_channel_options options;
		struct tandem_channel *channel;
		struct tandem_loop *loop;
		struct files files;

		options = as(&files, "prefill", "ours");
		options.port = tandem_channel_listener_port(fixture->listener);
		if (!tandem_loop_create(&loop, NULL) &&
		    !tandem_channel_connect_start(loop, &options, &channel, &op, NULL) &&
		    !tandem_loop_wait(loop, &op, PATIENCE_MS) &&
		    !tandem_channel_send_start(channel, "here", 5, &op) &&
		    !tandem_loop_wait(loop, &op, PATIENCE_MS))
			pause();
		_exit(1);
	}
	assert_int_equal(tandem_channel_accept_start(fixture->listener, &end, &accepted), 0);
	assert_int_equal(wait_for(fixture, &accepted), 0);
	assert_int_equal(tandem_channel_receive_start(end, buffer, sizeof(buffer), PATIENCE_MS,
						      &received), 0);
	assert_int_equal(wait_for(fixture, &received), 5);
	assert_int_equal(tandem_channel_receive_start(end, buffer, sizeof(buffer), PATIENCE_MS,
						      &received), 0);
	kill(child, SIGKILL);
	assert_int_equal(wait_for(fixture, &received), -ECONNRESET);
	assert_int_equal(waitpid(child, &status, 0), child);
	tandem_channel_close(end);
}

static int make_certificates(void **state)
{
	static const struct wanted_certificate wanted[] = {
		{ "ours", NULL, NULL, -DAY, DAY },
		{ "theirs", NULL, NULL, -DAY, DAY },
		{ "decode", "decode.example", "ours", -DAY, DAY },
		{ "prefill", "prefill.example", "ours", -DAY, DAY },
		{ "stranger", "prefill.example", "theirs", -DAY, DAY },
		{ "itself", "prefill.example", NULL, -DAY, DAY },
		{ "expired", "prefill.example", "ours", -2 * DAY, -DAY },
		{ "future", "prefill.example", "ours", DAY, 2 * DAY },
		{ "mixed", NULL, "ours", -DAY, DAY },
	};
	char from[128], to[128];
	FILE *empty;
	size_t i;

	(void)state;
	strcpy(directory, "/tmp/test_channel.XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	for (i = 0; i < COUNT(wanted); i++)
		make_certificate(directory, &wanted[i]);
	/* A key that is another's. */
	snprintf(from, sizeof(from), "%s/decode.key", directory);
	snprintf(to, sizeof(to), "%s/mixed.key", directory);
	if (unlink(to) < 0 || link(from, to) < 0)
		return -1;
	snprintf(to, sizeof(to), "%s/nothing.key", directory);
	if (link(from, to) < 0)
		return -1;
	snprintf(from, sizeof(from), "%s/nothing.pem", directory);
	snprintf(to, sizeof(to), "%s/empty.pem", directory);
	empty = fopen(from, "w");
	return empty && !fclose(empty) ? link(from, to) : -1;
}

static int remove_certificates(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

int main(void)
{
#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_messages),
		TEST(test_thousands),
		TEST(test_wrong_arguments),
		TEST(test_bad_files),
		TEST(test_refused),
		TEST(test_strangers),
		TEST(test_listener_wants_name),
		TEST(test_no_tls),
		TEST(test_silent_callers),
		TEST(test_rogues),
		TEST(test_other_side_closes),
		TEST(test_close_ends_everything),
		TEST(test_slow_receiver),
		TEST(test_cancelled_connects),
		TEST(test_killed_peer),
	};

	return cmocka_run_group_tests_name("channel", tests, make_certificates,
					   remove_certificates);
}
