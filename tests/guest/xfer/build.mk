# SPDX-License-Identifier: MIT
# Transfers in the guest: the tests of tests/native/xfer over its transports.

guest-tests += \
	tests/guest/xfer/test_push

tests/guest/xfer/test_push-src := \
	tests/native/xfer/test_push.c \
	tests/native/xfer/pair.c \
	tests/guest/xfer/kinds.c

guest-tests += tests/guest/xfer/test_verbs

tests/guest/xfer/test_verbs-src := \
	tests/guest/xfer/test_verbs.c \
	tests/guest/driver/firmware.c \
	tests/native/xfer/pair.c
