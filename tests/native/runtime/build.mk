# SPDX-License-Identifier: MIT
# The event loop, devices, memory and queues.

native-tests += \
	tests/native/runtime/test_busy_poll \
	tests/native/runtime/test_copy_list \
	tests/native/runtime/test_device \
	tests/native/runtime/test_fence \
	tests/native/runtime/test_inproc \
	tests/native/runtime/test_loop \
	tests/native/runtime/test_memory_class \
	tests/native/runtime/test_queue \
	tests/native/runtime/test_register

thread-tests += \
	tests/native/runtime/test_device \
	tests/native/runtime/test_queue \
	tests/native/runtime/test_fence \
	tests/native/runtime/test_inproc

tests/native/runtime/test_copy_list-src := \
	tests/native/runtime/test_copy_list.c \
	tests/native/runtime/devices.c \
	tests/native/runtime/default_devices.c
tests/native/runtime/test_device-src := \
	tests/native/runtime/test_device.c \
	tests/native/runtime/devices.c \
	tests/native/runtime/default_devices.c
tests/native/runtime/test_inproc-src := \
	tests/native/runtime/test_inproc.c \
	tests/native/runtime/devices.c
tests/native/runtime/test_memory_class-src := \
	tests/native/runtime/test_memory_class.c \
	tests/native/runtime/devices.c \
	tests/native/runtime/class_devices.c
tests/native/runtime/test_fence-src := \
	tests/native/runtime/test_fence.c \
	tests/native/runtime/devices.c \
	tests/native/runtime/default_devices.c
tests/native/runtime/test_queue-src := \
	tests/native/runtime/test_queue.c \
	tests/native/runtime/devices.c \
	tests/native/runtime/default_devices.c
tests/native/runtime/test_register-src := \
	tests/native/runtime/test_register.c \
	tests/native/runtime/devices.c \
	tests/native/runtime/default_devices.c
