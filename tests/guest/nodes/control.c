// SPDX-License-Identifier: MIT
/*
 * How node 0 has node 1 do things.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"

#define PORT		4790u
#define CONNECT_TRIES	600
#define NAME_BYTES	64u

enum what {
	CONTROL_START,
	CONTROL_SIGNAL,
	CONTROL_FINISH,
	CONTROL_KILL,
	CONTROL_COUNTS,
	CONTROL_SLOW,
	CONTROL_SHELL,
	CONTROL_OUTPUT,
	CONTROL_FILE,
};

/* Both followed by @size bytes. */
struct request {
	uint32_t what;
	int32_t number;
	uint32_t size;
};

struct reply {
	int32_t status;
	uint32_t size;
};

static int link_fd = -1;

static void need(bool good, const char *what)
{
	if (good)
		return;
	printf("# control: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	abort();
}

static bool get(void *bytes, size_t size)
{
	return !size || recv(link_fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

static void put(const void *bytes, size_t size)
{
	need(!size || send(link_fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size, "sending");
}

void control_connect(unsigned int node, const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const int one = 1;
	int fd, tries = CONNECT_TRIES;

	need(inet_pton(AF_INET, address, &to.sin_addr) == 1, address);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(fd >= 0, "socket");
	if (node) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		need(!bind(fd, (struct sockaddr *)&to, sizeof(to)) && !listen(fd, 1), "listening");
		alarm(60);
		link_fd = accept(fd, NULL, NULL);
		alarm(0);
		close(fd);
	} else {
		while (connect(fd, (struct sockaddr *)&to, sizeof(to)) && --tries)
			usleep(100000);
		need(tries, "connecting to node 1");
		link_fd = fd;
	}
	need(link_fd >= 0, "connection");
	setsockopt(link_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/*
 * Node 1
 */

static struct worker worker;

static int store_file(const char *bytes, size_t size)
{
	char path[256];
	FILE *file;
	bool good;

	if (size < NAME_BYTES)
		return -1;
	snprintf(path, sizeof(path), "%s/%.*s", worker_certificates, (int)NAME_BYTES, bytes);
	file = fopen(path, "w");
	if (!file)
		return -1;
	good = fwrite(bytes + NAME_BYTES, size - NAME_BYTES, 1, file) == 1;
	return fclose(file) || !good ? -1 : 0;
}

void local_output(const char *command, char *text, size_t size)
{
	FILE *pipe = popen(command, "re");

	need(!!pipe, command);
	if (!fgets(text, size, pipe))
		*text = '\0';
	pclose(pipe);
}

static void serve(const struct request *request, const char *bytes)
{
	struct reply reply = { 0 };
	struct worker_options options;
	const void *answer = NULL;
	char text[256];

	switch (request->what) {
	case CONTROL_START:
		memcpy(&options, bytes, sizeof(options));
		worker_start(&worker, &options, request->number);
		break;
	case CONTROL_SIGNAL:
		reply.status = kill(worker.pid, request->number);
		break;
	case CONTROL_FINISH:
		reply.status = worker_finish(&worker);
		break;
	case CONTROL_KILL:
		worker_kill(&worker);
		break;
	case CONTROL_COUNTS:
		answer = worker.counts;
		reply.size = sizeof(*worker.counts);
		break;
	case CONTROL_SLOW:
		worker.counts->slow_ms = request->number;
		break;
	case CONTROL_SHELL:
		reply.status = system(bytes);
		break;
	case CONTROL_OUTPUT:
		local_output(bytes, text, sizeof(text));
		answer = text;
		reply.size = strlen(text);
		break;
	case CONTROL_FILE:
		reply.status = store_file(bytes, request->size);
		break;
	}
	put(&reply, sizeof(reply));
	put(answer, reply.size);
}

unsigned int control_serve(void)
{
	static char bytes[65536];
	struct request request;
	unsigned int count = 0;

	while (get(&request, sizeof(request))) {
		need(request.size < sizeof(bytes) && get(bytes, request.size), "a request");
		bytes[request.size] = '\0';
		serve(&request, bytes);
		count++;
	}
	worker_kill(&worker);
	return count;
}

/*
 * Node 0
 */

static int ask(enum what what, int number, const void *bytes, size_t size, void *answer,
	       size_t answer_size)
{
	struct request request = { .what = what, .number = number, .size = size };
	struct reply reply;

	put(&request, sizeof(request));
	put(bytes, size);
	need(get(&reply, sizeof(reply)), "the reply of node 1");
	need(reply.size <= answer_size && get(answer, reply.size), "the answer of node 1");
	if (what == CONTROL_OUTPUT)
		((char *)answer)[reply.size] = '\0';
	return reply.status;
}

void remote_start(const struct worker_options *options, int again)
{
	ask(CONTROL_START, again, options, sizeof(*options), NULL, 0);
}

void remote_signal(int signal)
{
	need(!ask(CONTROL_SIGNAL, signal, NULL, 0, NULL, 0), "a signal to node 1's worker");
}

int remote_finish(void)
{
	return ask(CONTROL_FINISH, 0, NULL, 0, NULL, 0);
}

void remote_kill(void)
{
	ask(CONTROL_KILL, 0, NULL, 0, NULL, 0);
}

void remote_counts(struct worker_counts *counts)
{
	ask(CONTROL_COUNTS, 0, NULL, 0, counts, sizeof(*counts));
}

void remote_slow(uint32_t milliseconds)
{
	ask(CONTROL_SLOW, milliseconds, NULL, 0, NULL, 0);
}

int remote_shell(const char *command)
{
	return ask(CONTROL_SHELL, 0, command, strlen(command), NULL, 0);
}

void remote_output(const char *command, char *text, size_t size)
{
	ask(CONTROL_OUTPUT, 0, command, strlen(command), text, size - 1);
}

void remote_file(const char *name, const void *bytes, size_t size)
{
	char *both = calloc(1, NAME_BYTES + size);

	need(!!both, "memory");
	snprintf(both, NAME_BYTES, "%s", name);
	memcpy(both + NAME_BYTES, bytes, size);
	need(!ask(CONTROL_FILE, 0, both, NAME_BYTES + size, NULL, 0), name);
	free(both);
}
