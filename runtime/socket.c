// SPDX-License-Identifier: MIT
/* TCP sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "socket.h"

void socket_prepare(int fd, unsigned int timeout_ms)
{
	const int one = 1;

	/* Not vital, any of them. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

int socket_listen(const struct sockaddr_storage *address, socklen_t size, int backlog,
		  uint16_t *port)
{
	struct sockaddr_storage bound;
	socklen_t bound_size = sizeof(bound);
	const int one = 1;
	int fd, code;

	fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)address, size) < 0 || listen(fd, backlog) < 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &bound_size) < 0) {
		code = -errno;
		close(fd);
		return code;
	}
	*port = ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port :
						   ((struct sockaddr_in6 *)&bound)->sin6_port);
	return fd;
}
