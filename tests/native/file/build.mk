# SPDX-License-Identifier: MIT
# Device memory to and from files.

native-tests += tests/native/file/test_file

tests/native/file/test_file-src := \
	tests/native/file/test_file.c \
	tests/native/runtime/devices.c \
	tests/native/runtime/default_devices.c
