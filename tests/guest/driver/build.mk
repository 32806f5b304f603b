# SPDX-License-Identifier: MIT
# Tests of tandem.ko and tandem_emu.ko; all share accel.c and firmware.c.

driver-tests := \
	tests/guest/driver/test_driver_abi \
	tests/guest/driver/test_driver_memory \
	tests/guest/driver/test_driver_commands \
	tests/guest/driver/test_driver_removal

guest-tests += $(driver-tests)

$(foreach test,$(driver-tests),$(eval $(test)-src := \
	$(test).c tests/guest/driver/accel.c tests/guest/driver/firmware.c))
