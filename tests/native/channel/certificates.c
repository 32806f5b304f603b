// SPDX-License-Identifier: MIT
/*
 * Authorities and certificates for tests.
 */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certificates.h"

#define X509_VERSION	2	/* which stands for 3 */

static void need(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "certificates: %s failed\n", what);
	abort();
}

static FILE *open_file(const char *directory, const char *name, const char *suffix,
		       const char *mode)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", directory, name, suffix);
	file = fopen(path, mode);
	need(!!file, path);
	return file;
}

static void add_extension(X509 *certificate, int which, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, which, value);
	need(extension && X509_add_ext(certificate, extension, -1), value);
	X509_EXTENSION_free(extension);
}

static void set_name(X509 *certificate, const char *name)
{
	need(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
					(const unsigned char *)name, -1, -1, 0), "naming");
}

static void sign(X509 *certificate, EVP_PKEY *key, const char *directory, const char *authority)
{
	EVP_PKEY *issuer_key = key;
	X509 *issuer = certificate;
	FILE *file;

	if (authority) {
		file = open_file(directory, authority, "pem", "r");
		issuer = PEM_read_X509(file, NULL, NULL, NULL);
		fclose(file);
		file = open_file(directory, authority, "key", "r");
		issuer_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
		fclose(file);
		need(issuer && issuer_key, "reading the authority");
	}
	need(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)), "issuing");
	need(X509_sign(certificate, issuer_key, EVP_sha256()), "signing");
	if (authority) {
		X509_free(issuer);
		EVP_PKEY_free(issuer_key);
	}
}

void make_certificate(const char *directory, const struct wanted_certificate *wanted)
{
	static long serial;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	char alternative[128];
	FILE *file;

	need(key && certificate, "making a key");
	X509_set_version(certificate, X509_VERSION);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(certificate), wanted->valid_from);
	X509_gmtime_adj(X509_getm_notAfter(certificate), wanted->valid_to);
	X509_set_pubkey(certificate, key);
	set_name(certificate, wanted->name);
	add_extension(certificate, NID_basic_constraints,
		      wanted->authority ? "CA:FALSE" : "critical,CA:TRUE");
	if (wanted->dns) {
		snprintf(alternative, sizeof(alternative), "DNS:%s", wanted->dns);
		add_extension(certificate, NID_subject_alt_name, alternative);
	}
	sign(certificate, key, directory, wanted->authority);

	file = open_file(directory, wanted->name, "pem", "w");
	need(PEM_write_X509(file, certificate), "writing");
	fclose(file);
	file = open_file(directory, wanted->name, "key", "w");
	need(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), "writing");
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}
