# SPDX-License-Identifier: MIT
# Connections that are opened over authenticated channels.

native-tests += \
	tests/native/peer/test_grants \
	tests/native/peer/test_peer \
	tests/native/peer/test_peer_message

peers-src := \
	tests/native/peer/peers.c \
	tests/native/channel/certificates.c \
	tests/native/xfer/pair.c \
	tests/native/xfer/kinds.c

tests/native/peer/test_grants-src := \
	tests/native/peer/test_grants.c \
	$(peers-src)
tests/native/peer/test_peer-src := \
	tests/native/peer/test_peer.c \
	$(peers-src)
