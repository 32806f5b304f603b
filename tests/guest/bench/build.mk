# SPDX-License-Identifier: MIT
# tandem bench over the real driver: that it measures, not how fast anything is.

guest-scripts := tests/guest/bench/test_bench_driver.sh \
	tests/guest/bench/test_bench_xfer.sh $(guest-scripts)
