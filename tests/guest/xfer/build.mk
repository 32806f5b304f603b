# SPDX-License-Identifier: MIT
# Transfers in the guest: test_push, test_pull and test_memory of tests/native/xfer once
# for each way that there is here, and what needs a real driver.

xfer-push-tests := \
	tests/guest/xfer/test_push_inproc_verbs \
	tests/guest/xfer/test_push_accel_ipc \
	tests/guest/xfer/test_push_accel_local \
	tests/guest/xfer/test_push_accel_tcp \
	tests/guest/xfer/test_push_accel_verbs

# Over queue pairs that do not keep order.
xfer-disorder-tests := checksum control grant offer pull push

xfer-pull-tests := $(subst test_push,test_pull,$(xfer-push-tests))
xfer-memory-tests := $(subst test_push,test_memory,$(xfer-push-tests))

guest-tests += \
	$(xfer-push-tests) \
	$(xfer-pull-tests) \
	$(xfer-memory-tests) \
	$(xfer-disorder-tests:%=tests/guest/xfer/test_%_verbs_disorder) \
	tests/guest/xfer/test_memory_inproc \
	tests/guest/xfer/test_checksum_verbs \
	tests/guest/xfer/test_control_verbs \
	tests/guest/xfer/test_grant_verbs \
	tests/guest/xfer/test_offer_accel_ipc \
	tests/guest/xfer/test_offer_verbs \
	tests/guest/xfer/test_process_accel \
	tests/guest/xfer/test_record_verbs \
	tests/guest/xfer/test_slow_device \
	tests/guest/xfer/test_verbs \
	tests/guest/xfer/test_verbs_failover \
	tests/guest/xfer/test_verbs_grant \
	tests/guest/xfer/test_verbs_rails \
	tests/guest/xfer/test_verify_accel_ipc \
	tests/guest/xfer/test_verify_verbs

$(foreach test,$(xfer-push-tests),$(eval $(test)-src := \
	tests/native/xfer/test_push.c tests/native/xfer/pair.c \
	$(test:tests/guest/xfer/test_push_%=tests/guest/xfer/kinds_%.c)))
$(foreach test,$(xfer-pull-tests),$(eval $(test)-src := \
	tests/native/xfer/test_pull.c tests/native/xfer/pair.c \
	$(test:tests/guest/xfer/test_pull_%=tests/guest/xfer/kinds_%.c)))
$(foreach test,$(xfer-memory-tests),$(eval $(test)-src := \
	tests/native/xfer/test_memory.c tests/native/xfer/pair.c \
	$(test:tests/guest/xfer/test_memory_%=tests/guest/xfer/kinds_%.c)))
tests/guest/xfer/test_memory_inproc-src := \
	tests/native/xfer/test_memory.c tests/native/xfer/pair.c tests/native/xfer/kinds.c

$(foreach test,$(xfer-disorder-tests),$(eval \
	tests/guest/xfer/test_$(test)_verbs_disorder-src := $(call xfer-test-src,$(test)) \
	tests/native/xfer/pair.c tests/guest/xfer/kinds_verbs_disorder.c \
	tests/guest/xfer/disorder.c))
tests/guest/xfer/test_slow_device-src := \
	tests/guest/xfer/test_slow_device.c \
	tests/guest/driver/firmware.c \
	tests/native/xfer/pair.c

tests/guest/xfer/test_verbs-src := \
	tests/guest/xfer/test_verbs.c \
	tests/guest/driver/firmware.c \
	tests/native/xfer/pair.c

tests/guest/xfer/test_checksum_verbs-src := \
	tests/native/xfer/test_checksum.c tests/native/xfer/pair.c \
	tests/guest/xfer/kinds_verbs_grant.c

tests/guest/xfer/test_control_verbs-src := \
	tests/native/xfer/test_control.c tests/native/xfer/shim.c tests/native/xfer/pair.c \
	tests/guest/xfer/kinds_inproc_verbs.c

tests/guest/xfer/test_grant_verbs-src := \
	tests/native/xfer/test_grant.c tests/native/xfer/pair.c \
	tests/guest/xfer/kinds_verbs_grant.c

tests/guest/xfer/test_offer_accel_ipc-src := \
	tests/native/xfer/test_offer.c tests/native/xfer/pair.c \
	tests/guest/xfer/kinds_accel_ipc.c

tests/guest/xfer/test_offer_verbs-src := \
	tests/native/xfer/test_offer.c tests/native/xfer/pair.c \
	tests/guest/xfer/kinds_verbs_grant.c

tests/guest/xfer/test_process_accel-src := \
	tests/native/xfer/test_process.c tests/native/xfer/pair.c \
	tests/guest/xfer/kinds_accel_ipc.c

tests/guest/xfer/test_record_verbs-src := \
	tests/native/xfer/test_record.c tests/native/xfer/pair.c \
	tests/guest/xfer/kinds_inproc_verbs.c

tests/guest/xfer/test_verbs_failover-src := \
	tests/guest/xfer/test_verbs_failover.c tests/guest/xfer/disorder.c \
	tests/native/xfer/pair.c

tests/guest/xfer/test_verbs_grant-src := \
	tests/guest/xfer/test_verbs_grant.c tests/native/xfer/pair.c

tests/guest/xfer/test_verbs_rails-src := \
	tests/guest/xfer/test_verbs_rails.c tests/native/xfer/pair.c

tests/guest/xfer/test_verify_accel_ipc-src := \
	tests/native/xfer/test_verify.c tests/native/xfer/pair.c \
	tests/guest/xfer/kinds_accel_ipc.c

tests/guest/xfer/test_verify_verbs-src := \
	tests/native/xfer/test_verify.c tests/native/xfer/pair.c \
	tests/guest/xfer/kinds_verbs_grant.c

guest-scripts += tests/guest/xfer/test_nic_removed.sh
