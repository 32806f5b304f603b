# SPDX-License-Identifier: MIT
# Loop and devices in the guest: the tests of tests/native/runtime once more, on
# its kernel and on its accel devices.

guest-tests += \
	tests/guest/runtime/test_copy_list \
	tests/guest/runtime/test_device \
	tests/guest/runtime/test_device_lost \
	tests/guest/runtime/test_fence \
	tests/guest/runtime/test_file \
	tests/guest/runtime/test_loop \
	tests/guest/runtime/test_memory_class \
	tests/guest/runtime/test_queue \
	tests/guest/runtime/test_register

guest-scripts += tests/guest/runtime/test_memory_class_sram.sh

tests/guest/runtime/test_copy_list-src := \
	tests/native/runtime/test_copy_list.c \
	tests/native/runtime/devices.c \
	tests/guest/runtime/default_devices.c
tests/guest/runtime/test_device-src := \
	tests/native/runtime/test_device.c \
	tests/native/runtime/devices.c \
	tests/guest/runtime/default_devices.c
tests/guest/runtime/test_memory_class-src := \
	tests/native/runtime/test_memory_class.c \
	tests/native/runtime/devices.c \
	tests/guest/runtime/default_devices.c
tests/guest/runtime/test_loop-src := tests/native/runtime/test_loop.c
tests/guest/runtime/test_fence-src := \
	tests/native/runtime/test_fence.c \
	tests/native/runtime/devices.c \
	tests/guest/runtime/default_devices.c
tests/guest/runtime/test_file-src := \
	tests/native/file/test_file.c \
	tests/native/runtime/devices.c \
	tests/guest/runtime/default_devices.c
tests/guest/runtime/test_queue-src := \
	tests/native/runtime/test_queue.c \
	tests/native/runtime/devices.c \
	tests/guest/runtime/default_devices.c
tests/guest/runtime/test_register-src := \
	tests/native/runtime/test_register.c \
	tests/native/runtime/devices.c \
	tests/guest/runtime/default_devices.c
