/* SPDX-License-Identifier: MIT */
/*
 * Authorities and certificates for tests, made on the spot.
 */
#ifndef TANDEM_TESTS_CHANNEL_CERTIFICATES_H
#define TANDEM_TESTS_CHANNEL_CERTIFICATES_H

/**
 * struct wanted_certificate - what certificate to make
 * @name: file names begin with it; and the common name
 * @dns: subject alternative name; NULL for none
 * @authority: name of one made before; NULL for one that signs itself
 * @valid_from: seconds from now
 * @valid_to: seconds from now
 */
struct wanted_certificate {
	const char *name;
	const char *dns;
	const char *authority;
	long valid_from;
	long valid_to;
};

/* Write NAME.pem and NAME.key to @directory; aborts when that fails. */
void make_certificate(const char *directory, const struct wanted_certificate *wanted);

#endif /* TANDEM_TESTS_CHANNEL_CERTIFICATES_H */
