/* SPDX-License-Identifier: MIT */
/* TCP sockets, for whatever goes over them. */
#ifndef TANDEM_RUNTIME_SOCKET_H
#define TANDEM_RUNTIME_SOCKET_H

#include <stdint.h>
#include <sys/socket.h>

/* No delays, and an end within @timeout_ms when the other side does not answer. */
void socket_prepare(int fd, unsigned int timeout_ms);

/**
 * socket_listen() - a listening socket that does not block
 * @address: where; with port 0 for any
 * @size: of @address
 * @backlog: see listen(2)
 * @port: filled in with the one that it has
 *
 * Return: a descriptor, or -errno.
 */
int socket_listen(const struct sockaddr_storage *address, socklen_t size, int backlog,
		  uint16_t *port);

#endif /* TANDEM_RUNTIME_SOCKET_H */
