/* SPDX-License-Identifier: MIT */
/*
 * TLS for channels: OpenSSL, set up so that only sides that share an authority
 * can talk.
 */
#ifndef TANDEM_RUNTIME_CHANNEL_TLS_H
#define TANDEM_RUNTIME_CHANNEL_TLS_H

#include <stddef.h>

#include <tandem/channel.h>

/* Who this side is and whom it trusts; connections of it can outlive it. */
struct tls_identity;
/* One connection. */
struct tls;

/**
 * tls_identity_create() - read certificate, key and authorities
 * @options: which
 * @identity: where to put it
 * @error: filled in on failure
 *
 * Return: 0, -EINVAL, -ENOENT, -EACCES, -ENOMEM.
 */
int tls_identity_create(const struct tandem_channel_options *options,
			struct tls_identity **identity, struct tandem_error *error);
void tls_identity_destroy(struct tls_identity *identity);

/* Over a socket that does not block, which it does not own. NULL without memory. */
struct tls *tls_create(const struct tls_identity *identity, int fd, int listens);
void tls_destroy(struct tls *tls);

/*
 * These return what they did, or -EAGAIN when the socket has to become ready
 * first; tls_read() 0 at the end; -EACCES when one side does not accept the other,
 * -ECONNRESET, -EPROTO.
 */
int tls_handshake(struct tls *tls);
int tls_read(struct tls *tls, void *buffer, size_t size);
int tls_write(struct tls *tls, const void *bytes, size_t size);
/* Tell the other side that nothing more comes. */
void tls_shutdown(struct tls *tls);

/* Why it failed, in words; "" if it has not. */
const char *tls_reason(const struct tls *tls);
/* See tandem_channel_peer(); after the handshake. */
void tls_peer_name(const struct tls *tls, char *name, size_t size);

#endif /* TANDEM_RUNTIME_CHANNEL_TLS_H */
