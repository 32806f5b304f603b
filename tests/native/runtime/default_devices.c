// SPDX-License-Identifier: MIT
/*
 * The devices to test here.
 */
#include "devices.h"

const char default_test_devices[] = "inproc:trn2,mem=64M inproc:wse3,mem=64M";
