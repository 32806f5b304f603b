// SPDX-License-Identifier: MIT
/*
 * TLS for channels.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "channel_tls.h"
#include "error.h"

/**
 * struct tls_identity - who this side is
 * @context: OpenSSL's, which connections hold, too
 * @peer_name: that the other side has to have, or NULL
 */
struct tls_identity {
	SSL_CTX *context;
	char *peer_name;
};

/**
 * struct tls - a connection
 * @ssl: OpenSSL's
 * @fd: the socket
 * @error: errno of the socket's last failure, or 0
 * @reason: why the connection failed
 */
struct tls {
	SSL *ssl;
	int fd;
	int error;
	char reason[160];
};

/*
 * The socket as OpenSSL sees it. Its own would raise SIGPIPE, which is not a
 * library's to catch.
 */

static int socket_result(BIO *bio, ssize_t result)
{
	struct tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (result >= 0)
		return (int)result;
	if (errno == EAGAIN || errno == EINTR)
		BIO_set_flags(bio, BIO_FLAGS_SHOULD_RETRY);
	else
		tls->error = errno;
	return -1;
}

static int socket_write(BIO *bio, const char *bytes, int size)
{
	struct tls *tls = BIO_get_data(bio);
	int ret = socket_result(bio, send(tls->fd, bytes, size, MSG_NOSIGNAL));

	if (BIO_should_retry(bio))
		BIO_set_retry_write(bio);
	return ret;
}

static int socket_read(BIO *bio, char *buffer, int size)
{
	struct tls *tls = BIO_get_data(bio);
	int ret = socket_result(bio, recv(tls->fd, buffer, size, 0));

	if (BIO_should_retry(bio))
		BIO_set_retry_read(bio);
	return ret;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int socket_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

/* One for the process, since OpenSSL does not count who uses it. */
static BIO_METHOD *socket_method;

static void make_socket_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
					  "tandem channel");

	if (!method)
		return;
	BIO_meth_set_write(method, socket_write);
	BIO_meth_set_read(method, socket_read);
	BIO_meth_set_ctrl(method, socket_control);
	BIO_meth_set_create(method, socket_create);
	socket_method = method;
}

/*
 * Identities
 */

/* What OpenSSL says last, which is the cause. */
static const char *last_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return reason ? reason : "no reason given";
}

/* OpenSSL does not tell a file that is not there from one that is no good. */
static int check_file(const char *what, const char *path, struct tandem_error *error)
{
	int code;

	if (!path)
		return tandem_error_set(error, -EINVAL, "channel: no file for the %s is given",
					what);
	if (!access(path, R_OK))
		return 0;
	code = -errno;
	return tandem_error_set(error, code, "%s: cannot read the %s: %s", path, what,
				strerror(-code));
}

static int load_files(SSL_CTX *context, const struct tandem_channel_options *options,
		      struct tandem_error *error)
{
	int ret;

	ret = check_file("certificate", options->certificate, error);
	if (!ret)
		ret = check_file("private key", options->key, error);
	if (!ret)
		ret = check_file("authorities' certificates", options->authorities, error);
	if (ret < 0)
		return ret;
	if (SSL_CTX_use_certificate_chain_file(context, options->certificate) != 1)
		return tandem_error_set(error, -EINVAL, "%s: no certificate in PEM: %s",
					options->certificate, last_reason());
	if (SSL_CTX_use_PrivateKey_file(context, options->key, SSL_FILETYPE_PEM) != 1)
		return tandem_error_set(error, -EINVAL,
					"%s: no private key in PEM, or not that of %s: %s",
					options->key, options->certificate, last_reason());
	if (SSL_CTX_load_verify_locations(context, options->authorities, NULL) != 1)
		return tandem_error_set(error, -EINVAL,
					"%s: no authorities' certificates in PEM: %s",
					options->authorities, last_reason());
	return 0;
}

static void set_rules(SSL_CTX *context)
{
	SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Every connection shows its certificate, and can be refused since the last. */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 0);
}

int tls_identity_create(const struct tandem_channel_options *options,
			struct tls_identity **identity, struct tandem_error *error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_identity *new = calloc(1, sizeof(*new));
	int ret;

	ERR_clear_error();
	pthread_once(&once, make_socket_method);
	if (!new)
		goto no_memory;
	new->context = SSL_CTX_new(TLS_method());
	if (options->peer_name)
		new->peer_name = strdup(options->peer_name);
	if (!socket_method || !new->context || (options->peer_name && !new->peer_name))
		goto no_memory;
	set_rules(new->context);
	ret = load_files(new->context, options, error);
	if (ret < 0) {
		tls_identity_destroy(new);
		return ret;
	}
	*identity = new;
	return 0;

no_memory:
	tls_identity_destroy(new);
	return tandem_error_set(error, -ENOMEM, "channel: out of memory");
}

void tls_identity_destroy(struct tls_identity *identity)
{
	if (!identity)
		return;
	SSL_CTX_free(identity->context);
	free(identity->peer_name);
	free(identity);
}

/*
 * Connections
 */

/* Have the certificate be for the name that is wanted, and for this purpose. */
static int set_expectations(SSL *ssl, const char *peer_name)
{
	if (!peer_name)
		return 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, peer_name);
}

struct tls *tls_create(const struct tls_identity *identity, int fd, int listens)
{
	struct tls *new = calloc(1, sizeof(*new));
	BIO *bio;

	if (!new)
		return NULL;
	new->fd = fd;
	new->ssl = SSL_new(identity->context);
	bio = BIO_new(socket_method);
	if (!new->ssl || !bio || set_expectations(new->ssl, identity->peer_name) != 1)
		goto free_all;
	BIO_set_data(bio, new);
	SSL_set_bio(new->ssl, bio, bio);
	if (listens)
		SSL_set_accept_state(new->ssl);
	else
		SSL_set_connect_state(new->ssl);
	return new;

free_all:
	BIO_free(bio);
	SSL_free(new->ssl);
	free(new);
	return NULL;
}

void tls_destroy(struct tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	free(tls);
}

/* An alert by which the other side says that it does not accept this one. */
static int is_refusal(unsigned long reason)
{
	switch (ERR_GET_REASON(reason)) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return 1;
	default:
		return 0;
	}
}

static int tls_failed(struct tls *tls)
{
	unsigned long reason = ERR_peek_last_error();
	long verified = SSL_get_verify_result(tls->ssl);

	if (verified != X509_V_OK)
		snprintf(tls->reason, sizeof(tls->reason),
			 "the other side's certificate is not accepted: %s",
			 X509_verify_cert_error_string(verified));
	else if (is_refusal(reason))
		snprintf(tls->reason, sizeof(tls->reason),
			 "the other side does not accept this one: %s", last_reason());
	else
		snprintf(tls->reason, sizeof(tls->reason), "no TLS 1.3 as it should be: %s",
			 last_reason());
	ERR_clear_error();
	return verified != X509_V_OK || is_refusal(reason) ? -EACCES : -EPROTO;
}

static int tls_result(struct tls *tls, int result)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_NONE:
		return result;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SSL:
		/* A socket that ends without a farewell counts here, too. */
		if (!tls->error &&
		    ERR_GET_REASON(ERR_peek_last_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
			return tls_failed(tls);
		break;
	default:
		break;
	}
	ERR_clear_error();
	snprintf(tls->reason, sizeof(tls->reason), "the other side is gone: %s",
		 tls->error ? strerror(tls->error) : "it closed the connection");
	return tls->error == ETIMEDOUT ? -ETIMEDOUT : -ECONNRESET;
}

int tls_handshake(struct tls *tls)
{
	ERR_clear_error();
	return tls_result(tls, SSL_do_handshake(tls->ssl));
}

int tls_read(struct tls *tls, void *buffer, size_t size)
{
	ERR_clear_error();
	return tls_result(tls, SSL_read(tls->ssl, buffer, (int)size));
}

int tls_write(struct tls *tls, const void *bytes, size_t size)
{
	ERR_clear_error();
	return tls_result(tls, SSL_write(tls->ssl, bytes, (int)size));
}

void tls_shutdown(struct tls *tls)
{
	ERR_clear_error();
	if (SSL_is_init_finished(tls->ssl))
		SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

const char *tls_reason(const struct tls *tls)
{
	return tls->reason;
}

static int first_dns_name(const X509 *certificate, char *name, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int i, found = 0;

	for (i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
		int length;

		if (one->type != GEN_DNS)
			continue;
		length = ASN1_STRING_length(one->d.dNSName);
		/* A zero byte within would have it read as another name. */
		if (length <= 0 || (size_t)length >= size ||
		    memchr(ASN1_STRING_get0_data(one->d.dNSName), 0, length))
			continue;
		memcpy(name, ASN1_STRING_get0_data(one->d.dNSName), length);
		name[length] = '\0';
		found = 1;
	}
	GENERAL_NAMES_free(names);
	return found;
}

void tls_peer_name(const struct tls *tls, char *name, size_t size)
{
	X509 *certificate = SSL_get1_peer_certificate(tls->ssl);

	*name = '\0';
	if (!certificate)
		return;
	if (!first_dns_name(certificate, name, size) &&
	    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
				      (int)size) < 0)
		*name = '\0';
	X509_free(certificate);
}
