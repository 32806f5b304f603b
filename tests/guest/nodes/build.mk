# SPDX-License-Identifier: MIT
# Transfers between two machines: these run on both of two guests at once.

node-tests += tests/guest/nodes/test_nodes

tests/guest/nodes/test_nodes-src := \
	tests/guest/nodes/test_nodes.c \
	tests/guest/nodes/control.c \
	tests/guest/nodes/worker.c \
	tests/native/channel/certificates.c
