// SPDX-License-Identifier: MIT
/*
 * The library's version.
 */
#include <tandem/version.h>

#define STRING(x)	#x
#define VERSION(major, minor, patch)	STRING(major) "." STRING(minor) "." STRING(patch)

const char *tandem_version(void)
{
	return VERSION(TANDEM_VERSION_MAJOR, TANDEM_VERSION_MINOR, TANDEM_VERSION_PATCH);
}
