# SPDX-License-Identifier: MIT
# Transfers between devices in the process.

native-tests += \
	tests/native/xfer/test_push

tests/native/xfer/test_push-src := \
	tests/native/xfer/test_push.c \
	tests/native/xfer/pair.c \
	tests/native/xfer/kinds.c
