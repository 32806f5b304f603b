# SPDX-License-Identifier: MIT
# Transfers between devices in the process.

# Both sides of a connection, over each transport; or over a fabric without order.
xfer-pair-tests := auto checksum connect control engine forms grant ipc memory offer process \
	pull push record tcp verify
xfer-unordered-tests := checksum control grant offer pull push verify
xfer-shim-tests := control engine

native-tests += \
	$(xfer-pair-tests:%=tests/native/xfer/test_%) \
	$(xfer-unordered-tests:%=tests/native/xfer/test_%_unordered) \
	tests/native/xfer/test_description \
	tests/native/xfer/test_runs \
	tests/native/xfer/test_tcp_frame \
	tests/native/xfer/test_unordered \
	tests/native/xfer/test_verbs_key \
	tests/native/xfer/test_verbs_send

thread-tests += \
	tests/native/xfer/test_control \
	tests/native/xfer/test_engine \
	tests/native/xfer/test_ipc \
	tests/native/xfer/test_push

native-scripts += \
	tests/native/xfer/test_fuzz.sh \
	tests/native/xfer/test_probes.sh

xfer-pair := \
	tests/native/xfer/pair.c \
	tests/native/xfer/kinds.c
xfer-pair-unordered := \
	tests/native/xfer/pair.c \
	tests/native/xfer/unordered.c \
	tests/native/xfer/kinds_unordered.c
xfer-test-src = tests/native/xfer/test_$(1).c \
	$(if $(filter $(1),$(xfer-shim-tests)),tests/native/xfer/shim.c)

$(foreach test,$(xfer-pair-tests),$(eval tests/native/xfer/test_$(test)-src := \
	$(call xfer-test-src,$(test)) $(xfer-pair)))
$(foreach test,$(xfer-unordered-tests),$(eval tests/native/xfer/test_$(test)_unordered-src := \
	$(call xfer-test-src,$(test)) $(xfer-pair-unordered)))
tests/native/xfer/test_unordered-src := \
	tests/native/xfer/test_unordered.c \
	$(xfer-pair-unordered)
