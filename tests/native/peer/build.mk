# SPDX-License-Identifier: MIT
# Connections that are opened over authenticated channels.

native-tests += \
	tests/native/peer/test_peer \
	tests/native/peer/test_peer_message

tests/native/peer/test_peer-src := \
	tests/native/peer/test_peer.c \
	tests/native/channel/certificates.c \
	tests/native/xfer/pair.c \
	tests/native/xfer/kinds.c
