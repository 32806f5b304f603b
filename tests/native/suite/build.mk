# SPDX-License-Identifier: MIT
# tests/run-suite itself.

native-scripts += tests/native/suite/test_run_suite.sh
