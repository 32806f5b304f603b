/* SPDX-License-Identifier: MIT */
/*
 * The library's version.
 */
#ifndef TANDEM_VERSION_H
#define TANDEM_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#define TANDEM_VERSION_MAJOR	0
#define TANDEM_VERSION_MINOR	1
#define TANDEM_VERSION_PATCH	0

/* "MAJOR.MINOR.PATCH" of the library that is loaded. */
const char *tandem_version(void);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_VERSION_H */
