// SPDX-License-Identifier: MIT
/*
 * The devices to test in the guest, which has two.
 */
#include "tests/native/runtime/devices.h"

const char default_test_devices[] = "accel0 accel1";
