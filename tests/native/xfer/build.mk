# SPDX-License-Identifier: MIT
# Transfers between devices in the process.

native-tests += \
	tests/native/xfer/test_auto \
	tests/native/xfer/test_checksum \
	tests/native/xfer/test_checksum_unordered \
	tests/native/xfer/test_connect \
	tests/native/xfer/test_control \
	tests/native/xfer/test_description \
	tests/native/xfer/test_engine \
	tests/native/xfer/test_forms \
	tests/native/xfer/test_grant \
	tests/native/xfer/test_ipc \
	tests/native/xfer/test_memory \
	tests/native/xfer/test_offer \
	tests/native/xfer/test_pull \
	tests/native/xfer/test_push \
	tests/native/xfer/test_record \
	tests/native/xfer/test_runs \
	tests/native/xfer/test_tcp \
	tests/native/xfer/test_tcp_frame \
	tests/native/xfer/test_process \
	tests/native/xfer/test_verbs_key \
	tests/native/xfer/test_verbs_send \
	tests/native/xfer/test_unordered \
	tests/native/xfer/test_offer_unordered \
	tests/native/xfer/test_pull_unordered \
	tests/native/xfer/test_push_unordered \
	tests/native/xfer/test_control_unordered \
	tests/native/xfer/test_grant_unordered

thread-tests += \
	tests/native/xfer/test_control \
	tests/native/xfer/test_engine \
	tests/native/xfer/test_ipc \
	tests/native/xfer/test_push

# Both sides of a connection, over each transport, or over a fabric without order.
xfer-pair := \
	tests/native/xfer/pair.c \
	tests/native/xfer/kinds.c
xfer-pair-unordered := \
	tests/native/xfer/pair.c \
	tests/native/xfer/unordered.c \
	tests/native/xfer/kinds_unordered.c

tests/native/xfer/test_checksum-src := \
	tests/native/xfer/test_checksum.c \
	$(xfer-pair)
tests/native/xfer/test_checksum_unordered-src := \
	tests/native/xfer/test_checksum.c \
	$(xfer-pair-unordered)

tests/native/xfer/test_auto-src := \
	tests/native/xfer/test_auto.c \
	$(xfer-pair)

tests/native/xfer/test_connect-src := \
	tests/native/xfer/test_connect.c \
	$(xfer-pair)

tests/native/xfer/test_control-src := \
	tests/native/xfer/test_control.c \
	tests/native/xfer/shim.c \
	$(xfer-pair)

tests/native/xfer/test_engine-src := \
	tests/native/xfer/test_engine.c \
	tests/native/xfer/shim.c \
	$(xfer-pair)

tests/native/xfer/test_forms-src := \
	tests/native/xfer/test_forms.c \
	$(xfer-pair)

tests/native/xfer/test_ipc-src := \
	tests/native/xfer/test_ipc.c \
	$(xfer-pair)

tests/native/xfer/test_memory-src := \
	tests/native/xfer/test_memory.c \
	$(xfer-pair)

tests/native/xfer/test_offer-src := \
	tests/native/xfer/test_offer.c \
	$(xfer-pair)

tests/native/xfer/test_pull-src := \
	tests/native/xfer/test_pull.c \
	$(xfer-pair)

tests/native/xfer/test_push-src := \
	tests/native/xfer/test_push.c \
	$(xfer-pair)

tests/native/xfer/test_record-src := \
	tests/native/xfer/test_record.c \
	$(xfer-pair)

tests/native/xfer/test_tcp-src := \
	tests/native/xfer/test_tcp.c \
	$(xfer-pair)

tests/native/xfer/test_process-src := \
	tests/native/xfer/test_process.c \
	$(xfer-pair)

native-scripts += \
	tests/native/xfer/test_fuzz.sh \
	tests/native/xfer/test_probes.sh

tests/native/xfer/test_grant-src := \
	tests/native/xfer/test_grant.c \
	$(xfer-pair)

tests/native/xfer/test_unordered-src := \
	tests/native/xfer/test_unordered.c \
	$(xfer-pair-unordered)
tests/native/xfer/test_offer_unordered-src := \
	tests/native/xfer/test_offer.c \
	$(xfer-pair-unordered)
tests/native/xfer/test_pull_unordered-src := \
	tests/native/xfer/test_pull.c \
	$(xfer-pair-unordered)
tests/native/xfer/test_push_unordered-src := \
	tests/native/xfer/test_push.c \
	$(xfer-pair-unordered)
tests/native/xfer/test_grant_unordered-src := \
	tests/native/xfer/test_grant.c \
	$(xfer-pair-unordered)
tests/native/xfer/test_control_unordered-src := \
	tests/native/xfer/test_control.c \
	tests/native/xfer/shim.c \
	$(xfer-pair-unordered)
