# SPDX-License-Identifier: MIT
# tandem run over the real driver. Put in front: the driver's last script takes
# the modules, and with them accel0 and accel1, away and back.

guest-scripts := \
	tests/guest/run/test_list.sh \
	tests/guest/run/test_run_split.sh \
	tests/guest/run/test_run_store.sh \
	tests/guest/run/test_run_kill.sh \
	$(guest-scripts)
