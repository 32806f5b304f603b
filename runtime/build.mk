# SPDX-License-Identifier: MIT
# Sources of libtandem.

runtime-src := \
	runtime/error.c
