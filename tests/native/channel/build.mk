# SPDX-License-Identifier: MIT
# Channels between processes that have proved who they are.

native-tests += tests/native/channel/test_channel

tests/native/channel/test_channel-src := \
	tests/native/channel/certificates.c \
	tests/native/channel/test_channel.c
