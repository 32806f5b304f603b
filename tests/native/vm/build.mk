# SPDX-License-Identifier: MIT
# tests/vm/run itself.

native-scripts += tests/native/vm/test_vm_run.sh
