# SPDX-License-Identifier: MIT
# Tests of tandem.ko and tandem_emu.ko.

driver-tests := \
	tests/guest/driver/test_driver_failslab \
	tests/guest/driver/test_driver_abi \
	tests/guest/driver/test_driver_account \
	tests/guest/driver/test_driver_debugfs \
	tests/guest/driver/test_driver_fdinfo \
	tests/guest/driver/test_driver_isolation \
	tests/guest/driver/test_driver_memory \
	tests/guest/driver/test_driver_classes \
	tests/guest/driver/test_driver_cgroup \
	tests/guest/driver/test_driver_import \
	tests/guest/driver/test_driver_register \
	tests/guest/driver/test_driver_residue \
	tests/guest/driver/test_driver_commands \
	tests/guest/driver/test_driver_fence \
	tests/guest/driver/test_driver_list \
	tests/guest/driver/test_driver_submit \
	tests/guest/driver/test_driver_emu \
	tests/guest/driver/test_driver_fair \
	tests/guest/driver/test_driver_power \
	tests/guest/driver/test_driver_fault \
	tests/guest/driver/test_driver_fault_start \
	tests/guest/driver/test_driver_removal \
	tests/guest/driver/test_driver_reset \
	tests/guest/driver/test_driver_trace \
	tests/guest/driver/test_driver_unload

driver-test-support := \
	tests/guest/driver/accel.c \
	tests/guest/driver/fault.c \
	tests/guest/driver/firmware.c \
	tests/guest/driver/gate.c \
	tests/guest/driver/rdma_loop.c \
	tests/guest/driver/syncobj.c \
	tests/guest/driver/sysfs.c \
	tests/guest/driver/toy_device.c \
	tests/guest/driver/tracing.c

guest-tests += $(driver-tests)
guest-scripts += \
	tests/guest/driver/test_driver_kunit.sh \
	tests/guest/driver/test_driver_parameters.sh \
	tests/guest/driver/test_driver_pci.sh \
	tests/guest/driver/test_driver_sysfs.sh \
	tests/guest/driver/test_driver_fuzz.sh \
	tests/guest/driver/test_driver_reload.sh

$(foreach test,$(driver-tests),$(eval $(test)-src := \
	$(test).c $(driver-test-support)))
