# SPDX-License-Identifier: MIT
# The interfaces in uapi/ as such.

native-scripts += tests/native/uapi/test_uapi_layout.sh
