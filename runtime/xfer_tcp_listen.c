// SPDX-License-Identifier: MIT
/*
 * The listening socket, and who knocks at it. Anybody may: a caller is nobody
 * until it has sent a greeting with the token of one of our sides. Callers
 * that have not are bounded in number and in time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "socket.h"
#include "xfer_tcp.h"

/* Who knocks when so many are being waited for takes the place of the oldest. */
#define CALLERS_MAX		256u
#define CALLER_SECONDS		10
/* Accepted before the loop's other events have their turn. */
#define ACCEPTS_MAX		64u
#define BACKLOG			256
/* When the process has no descriptors or no memory left. */
#define ACCEPT_RETRY_MS		100
#define ADDRESS_DEFAULT		"127.0.0.1"

/**
 * struct tcp_caller - an accepted socket whose greeting has not come yet
 * @event: of the request that receives it
 * @entry: in &tcp_listener.callers
 * @listener: NULL once that is gone
 * @fd: the socket
 * @greeting: filled in by the kernel
 * @timeout: how long that may take
 */
struct tcp_caller {
	struct loop_event event;
	TAILQ_ENTRY(tcp_caller) entry;
	struct tcp_listener *listener;
	int fd;
	uint8_t greeting[TCP_GREETING_BYTES];
	struct __kernel_timespec timeout;
};

/**
 * struct tcp_listener - a listening socket
 * @entry: in the registry
 * @loop: whose thread everything but @entry and @loop belongs to
 * @wanted: address and port that it was opened for; port 0 for any
 * @fd: the socket
 * @port: that it has
 * @poll: the loop's watch
 * @accept_task: goes on where a long round of accepting left off
 * @retry: accepts again after a failure; or NULL
 * @sides: those that are reached here
 * @callers: oldest first
 * @caller_count: entries of @callers
 */
struct tcp_listener {
	LIST_ENTRY(tcp_listener) entry;
	struct tandem_loop *loop;
	struct sockaddr_storage wanted;
	int fd;
	uint16_t port;
	struct loop_poll *poll;
	struct loop_task accept_task;
	struct loop_timer *retry;
	LIST_HEAD(, tcp) sides;
	TAILQ_HEAD(, tcp_caller) callers;
	unsigned int caller_count;
};

/* All listeners of this process, whichever loop they are on. */
static struct {
	pthread_mutex_t lock;
	LIST_HEAD(, tcp_listener) listeners;
} registry = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.listeners = LIST_HEAD_INITIALIZER(registry.listeners),
};

/*
 * Callers
 */

/* It is nobody's caller any more; the end of its request frees it. */
static void caller_forget(struct tcp_caller *caller)
{
	TAILQ_REMOVE(&caller->listener->callers, caller, entry);
	caller->listener->caller_count--;
	caller->listener = NULL;
	shutdown(caller->fd, SHUT_RDWR);
}

static void caller_free(struct tcp_caller *caller)
{
	if (caller->listener) {
		TAILQ_REMOVE(&caller->listener->callers, caller, entry);
		caller->listener->caller_count--;
	}
	if (caller->fd >= 0)
		close(caller->fd);
	free(caller);
}

static struct tcp *find_side(struct tcp_listener *listener, const uint8_t *token)
{
	struct tcp *tcp;

	LIST_FOREACH(tcp, &listener->sides, entry)
		if (tcp_token_equal(tcp->local.token, token))
			return tcp;
	return NULL;
}

static void caller_greeted(struct loop_event *event, int result, uint64_t extra)
{
	struct tcp_caller *caller = (struct tcp_caller *)event;
	struct tcp_greeting greeting;
	struct tcp *tcp = NULL;

	(void)extra;
	if (result == TCP_GREETING_BYTES && caller->listener &&
	    !tcp_greeting_decode(caller->greeting, &greeting))
		tcp = find_side(caller->listener, greeting.token);
	if (tcp && !tcp_greeted(tcp, caller->fd, &greeting))
		caller->fd = -1;
	caller_free(caller);
}

static int caller_listen_to(struct tcp_caller *caller)
{
	struct tandem_loop *loop = caller->listener->loop;
	struct io_uring_sqe *sqe;

	if (loop_reserve(loop, 2) < 0)
		return -ENOMEM;
	sqe = loop_sqe(loop);
	io_uring_prep_recv(sqe, caller->fd, caller->greeting, sizeof(caller->greeting),
			   MSG_WAITALL);
	io_uring_sqe_set_data(sqe, &caller->event);
	sqe->flags |= IOSQE_IO_LINK;
	sqe = loop_sqe(loop);
	caller->timeout.tv_sec = CALLER_SECONDS;
	io_uring_prep_link_timeout(sqe, &caller->timeout, 0);
	return 0;
}

static void listener_accepted(struct tcp_listener *listener, int fd)
{
	struct tcp_caller *caller = calloc(1, sizeof(*caller));

	if (!caller) {
		close(fd);
		return;
	}
	if (listener->caller_count >= CALLERS_MAX)
		caller_forget(TAILQ_FIRST(&listener->callers));
	caller->event.fire = caller_greeted;
	caller->listener = listener;
	caller->fd = fd;
	TAILQ_INSERT_TAIL(&listener->callers, caller, entry);
	listener->caller_count++;
	if (caller_listen_to(caller) < 0)
		caller_free(caller);
}

static void listener_retry(void *user);

/* Without memory for a timer, the next caller is the next occasion. */
static void listener_accept_later(struct tcp_listener *listener)
{
	if (!listener->retry)
		loop_timer_start(listener->loop, ACCEPT_RETRY_MS, listener_retry, listener,
				 &listener->retry);
}

static void listener_accept(struct tcp_listener *listener)
{
	unsigned int count;
	int fd;

	for (count = 0; count < ACCEPTS_MAX; count++) {
		fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			listener_accepted(listener, fd);
			continue;
		}
		/* Who waits in the backlog is not announced again. */
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			listener_accept_later(listener);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
	loop_task_post(listener->loop, &listener->accept_task);
}

static void listener_retry(void *user)
{
	struct tcp_listener *listener = user;

	listener->retry = NULL;
	listener_accept(listener);
}

static void listener_accept_more(struct loop_task *task)
{
	listener_accept((void *)((char *)task - offsetof(struct tcp_listener, accept_task)));
}

static void listener_ready(void *user, int events)
{
	(void)events;
	listener_accept(user);
}

/*
 * Addresses
 */

static int parse_address(const struct tandem_connection_options *options,
			 struct sockaddr_storage *address, struct tandem_error *error)
{
	const char *name = options->address ? options->address : ADDRESS_DEFAULT;
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	};
	struct addrinfo *found;
	char port[8];

	snprintf(port, sizeof(port), "%u", options->port);
	if (getaddrinfo(name, port, &hints, &found))
		return tandem_error_set(error, -EINVAL,
					"tcp: '%s' is not an address; give one in numbers, such as 192.0.2.1 or ::",
					name);
	memset(address, 0, sizeof(*address));
	memcpy(address, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}

static bool is_wildcard(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ((const struct sockaddr_in *)address)->sin_addr.s_addr == INADDR_ANY;
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* Is it an address that the other side could use? Link-local ones need more. */
static bool is_reachable(const struct ifaddrs *interface, bool with_six)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)interface->ifa_addr;

	if (!interface->ifa_addr || !(interface->ifa_flags & IFF_UP))
		return false;
	if (interface->ifa_addr->sa_family == AF_INET)
		return true;
	return with_six && interface->ifa_addr->sa_family == AF_INET6 &&
	       !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
}

/* All addresses of this machine, those of loopback last. */
static int list_addresses(struct tcp_endpoint *endpoint, bool with_six)
{
	struct ifaddrs *all, *one;
	int loopback;

	if (getifaddrs(&all) < 0)
		return -errno;
	for (loopback = 0; loopback < 2; loopback++) {
		for (one = all; one; one = one->ifa_next) {
			if (!is_reachable(one, with_six) ||
			    !!(one->ifa_flags & IFF_LOOPBACK) != loopback ||
			    endpoint->address_count == TCP_ADDRESSES_MAX)
				continue;
			memcpy(&endpoint->addresses[endpoint->address_count++], one->ifa_addr,
			       one->ifa_addr->sa_family == AF_INET ?
			       sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		}
	}
	freeifaddrs(all);
	return endpoint->address_count ? 0 : -EADDRNOTAVAIL;
}

static int endpoint_fill(struct tcp_endpoint *endpoint, const struct tcp_listener *listener,
			 struct tandem_error *error)
{
	int ret;

	endpoint->port = listener->port;
	if (!is_wildcard(&listener->wanted)) {
		endpoint->address_count = 1;
		endpoint->addresses[0] = listener->wanted;
		return 0;
	}
	endpoint->address_count = 0;
	ret = list_addresses(endpoint, listener->wanted.ss_family == AF_INET6);
	if (ret < 0)
		return tandem_error_set(error, ret, "tcp: this machine has no address: %s",
					strerror(-ret));
	return 0;
}

/*
 * Listeners
 */

static struct tcp_listener *listener_find(struct tandem_loop *loop,
					  const struct sockaddr_storage *wanted)
{
	struct tcp_listener *listener;

	pthread_mutex_lock(&registry.lock);
	LIST_FOREACH(listener, &registry.listeners, entry)
		if (listener->loop == loop &&
		    !memcmp(&listener->wanted, wanted, sizeof(*wanted)))
			break;
	pthread_mutex_unlock(&registry.lock);
	return listener;
}

static int listener_open(struct tandem_loop *loop, const struct sockaddr_storage *wanted,
			 struct tcp_listener **listener)
{
	struct tcp_listener *new = calloc(1, sizeof(*new));
	int ret;

	if (!new)
		return -ENOMEM;
	new->loop = loop;
	new->wanted = *wanted;
	new->accept_task.run = listener_accept_more;
	LIST_INIT(&new->sides);
	TAILQ_INIT(&new->callers);
	ret = socket_listen(&new->wanted, tcp_address_size(&new->wanted), BACKLOG, &new->port);
	if (ret < 0)
		goto free_listener;
	new->fd = ret;
	ret = loop_poll_start(loop, new->fd, POLLIN, listener_ready, new, &new->poll);
	if (ret < 0)
		goto close_socket;
	pthread_mutex_lock(&registry.lock);
	LIST_INSERT_HEAD(&registry.listeners, new, entry);
	pthread_mutex_unlock(&registry.lock);
	*listener = new;
	return 0;

close_socket:
	close(new->fd);
free_listener:
	free(new);
	return ret;
}

static void listener_close(struct tcp_listener *listener)
{
	struct tcp_caller *caller;

	pthread_mutex_lock(&registry.lock);
	LIST_REMOVE(listener, entry);
	pthread_mutex_unlock(&registry.lock);
	loop_task_cancel(listener->loop, &listener->accept_task);
	loop_timer_stop(listener->retry);
	loop_poll_stop(listener->poll);
	close(listener->fd);
	/* Ended now, lest the loop be destroyed before they have told. */
	while ((caller = TAILQ_FIRST(&listener->callers))) {
		caller_forget(caller);
		loop_fd_cancel(listener->loop, caller->fd);
	}
	free(listener);
}

int tcp_listen(struct tcp *tcp, const struct tandem_connection_options *options,
	       struct tandem_error *error)
{
	struct sockaddr_storage wanted;
	struct tcp_listener *listener;
	int ret;

	ret = parse_address(options, &wanted, error);
	if (ret < 0)
		return ret;
	listener = listener_find(tcp->loop, &wanted);
	if (!listener) {
		ret = listener_open(tcp->loop, &wanted, &listener);
		if (ret < 0)
			return tandem_error_set(error, ret,
						"tcp: cannot listen on %s port %u: %s",
						options->address ? options->address :
						ADDRESS_DEFAULT, options->port, strerror(-ret));
	}
	ret = endpoint_fill(&tcp->local, listener, error);
	if (ret < 0) {
		if (LIST_EMPTY(&listener->sides))
			listener_close(listener);
		return ret;
	}
	LIST_INSERT_HEAD(&listener->sides, tcp, entry);
	tcp->listener = listener;
	return 0;
}

void tcp_unlisten(struct tcp *tcp)
{
	struct tcp_listener *listener = tcp->listener;

	if (!listener)
		return;
	LIST_REMOVE(tcp, entry);
	tcp->listener = NULL;
	if (LIST_EMPTY(&listener->sides))
		listener_close(listener);
}
