# SPDX-License-Identifier: MIT
# The program in the README.

native-scripts += tests/native/readme/test_readme.sh
