# SPDX-License-Identifier: MIT
# tandem run over the real driver.

guest-scripts += tests/guest/run/test_run_split.sh
guest-scripts += tests/guest/run/test_run_kill.sh
